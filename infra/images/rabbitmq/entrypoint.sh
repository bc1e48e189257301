#!/bin/bash
# Bound the table of open files, which Erlang sizes by the limit, and make the node's cookie at the first start.
set -euo pipefail

files="$(ulimit -n)"
if [ "$files" = unlimited ] || [ "$files" -gt 65536 ]; then ulimit -n 65536; fi

# Started as root, to take over a folder that root made.
if [ "$(id -u)" = 0 ]; then
    find /var/lib/rabbitmq ! -user rabbitmq -exec chown rabbitmq {} +
    exec setpriv --reuid=rabbitmq --regid=rabbitmq --init-groups -- "${BASH_SOURCE[0]}" "$@"
fi

cookie="$HOME/.erlang.cookie"
if [ ! -s "$cookie" ]; then
    (umask 077 && head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$cookie")
    chmod 0400 "$cookie"
fi
exec "$@"
