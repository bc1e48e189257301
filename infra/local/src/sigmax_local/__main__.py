"""Run the command line: `python -m sigmax_local`."""

from sigmax_local.cli import app

if __name__ == "__main__":
    app()
