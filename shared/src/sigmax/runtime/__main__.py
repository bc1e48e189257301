"""Run a service: `python -m sigmax.runtime risk_gate`, or in its image `python -m sigmax.runtime` alone."""

import importlib
import os
import signal
import sys

import uvicorn

from sigmax.runtime import logs, service
from sigmax.runtime.settings import SettingsError
from sigmax.schemas.topology import owner_of

_WS_BYTES_MAX = 65_536
"""No peer sends larger messages; uvicorn would take 16 MB before anyone can refuse it."""


def main(arguments: list[str]) -> int:
    """Serve the package's `app.app` until SIGTERM; give the exit status."""
    # An image says in the variable which service it is.
    packages = arguments or [owner_of(name) for name in os.environ.get("SIGMAX_SERVICE", "").split()]
    if len(packages) != 1:
        print("usage: python -m sigmax.runtime PACKAGE    (for example risk_gate)", file=sys.stderr)
        return 2
    app = importlib.import_module(f"{packages[0]}.app").app
    try:
        settings = app.state.settings_type.load()
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    logs.configure(settings.service, settings.replica, settings.log_level)
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            host=settings.http_host,
            port=settings.http_port,
            log_config=None,
            access_log=False,
            lifespan="on",
            timeout_graceful_shutdown=5,
            server_header=False,
            # Whoever is not named here could choose the address that login limits count by.
            forwarded_allow_ips=os.environ.get("FORWARDED_ALLOW_IPS", ""),
            ws_max_size=_WS_BYTES_MAX,
        )
    )
    # uvicorn ends gracefully on a signal and then raises it once more: unhandled, that would undo the exit status.
    for ending in (signal.SIGTERM, signal.SIGINT):
        signal.signal(ending, lambda *_: None)
    server.run()
    return 0 if server.started and not service.failed else 1


if __name__ == "__main__":
    # os._exit: threads of client libraries must not keep a process alive whose work has ended.
    status = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
