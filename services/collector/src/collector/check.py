"""Say whether a file can be replayed: `python -m collector.check FILE`.

Exit 0 and one JSON object on standard output, or exit 2 and one line on standard error that names the file, the
column, the row, and what to do.
"""

import json
import sys
from pathlib import Path

from collector.adapters.recording_file import RecordingError
from collector.adapters.recording_survey import survey


def main(arguments: list[str]) -> int:
    """Check one file; give the exit status."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m collector.check FILE\n")
        return 2
    try:
        found = survey(Path(arguments[0]))
    except RecordingError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(json.dumps(found.summary()) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
