#!/bin/bash
# Start Redis as the official image does: options or a file alone mean the server, and root is left behind.
set -euo pipefail

case "${1:-}" in
    "" | -* | *.conf) set -- redis-server "$@" ;;
esac
if [ "$1" = redis-server ]; then
    # Debian's server refuses clients from other machines as long as it has no password, the official one does not.
    # Where there is a file, the file says what holds.
    case " $* " in
        *" --protected-mode "* | *.conf" "*) ;;
        *) set -- "$@" --protected-mode no ;;
    esac
    if [ "$(id -u)" = 0 ]; then
        find . ! -user redis -exec chown redis {} +
        exec setpriv --reuid=redis --regid=redis --init-groups -- "$@"
    fi
fi
exec "$@"
