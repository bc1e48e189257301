"""Ask the service in this container whether it is ready: `python -m sigmax.runtime.probe`, exit status 0 or 1.

The image has no curl. Nothing but sockets is imported: the question is asked every few seconds
in each container.
"""

import os
import socket
import sys

_TIMEOUT_S = 6.0
"""Above the five seconds that a single check of readiness may take."""
_REQUEST = b"GET /health/ready HTTP/1.0\r\nHost: localhost\r\n\r\n"


def main() -> int:
    """Print what the service says when it is not ready, so that `docker inspect` shows it."""
    port = int(os.environ.get("SIGMAX_HTTP_PORT", "8000"))
    answer = b""
    try:
        with socket.create_connection(("127.0.0.1", port), _TIMEOUT_S) as connection:
            connection.sendall(_REQUEST)
            while part := connection.recv(65536):
                answer += part
    except OSError as error:
        print(f"no answer on port {port}: {error}")
        return 1
    head, _, body = answer.partition(b"\r\n\r\n")
    if head.split(b" ", 2)[1:2] == [b"200"]:
        return 0
    print(body.decode("utf-8", "replace"))
    return 1


if __name__ == "__main__":
    sys.exit(main())
