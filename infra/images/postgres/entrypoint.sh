#!/bin/bash
# Make the data folder at the first start, run the scripts of /docker-entrypoint-initdb.d in it, then start the server.
set -Eeuo pipefail

if [ "${1:0:1}" = "-" ]; then set -- postgres "$@"; fi
if [ "$1" != postgres ]; then exec "$@"; fi

user="${POSTGRES_USER:-postgres}"
database="${POSTGRES_DB:-$user}"

if [ ! -s "$PGDATA/PG_VERSION" ]; then
    password_file="${POSTGRES_PASSWORD_FILE:-}"
    if [ ! -s "$password_file" ]; then
        echo "POSTGRES_PASSWORD_FILE must name a file with the superuser's password" >&2
        exit 1
    fi
    # shellcheck disable=SC2086  # one word per argument
    initdb -D "$PGDATA" --username="$user" --pwfile="$password_file" ${POSTGRES_INITDB_ARGS:-}
    printf '\nhost all all all scram-sha-256\n' >>"$PGDATA/pg_hba.conf"

    # This server listens on its socket alone: who gets an answer over TCP knows that all scripts have run.
    PGPASSWORD="$(<"$password_file")"
    export PGPASSWORD
    pg_ctl -D "$PGDATA" -o "-c listen_addresses=''" -w start
    psql=(psql -v ON_ERROR_STOP=1 --no-psqlrc --username "$user" --no-password)
    if [ "$database" != postgres ]; then
        "${psql[@]}" --dbname postgres --set name="$database" <<<'CREATE DATABASE :"name";'
    fi
    for script in /docker-entrypoint-initdb.d/*.sql; do
        if [ -e "$script" ]; then "${psql[@]}" --quiet --dbname "$database" -f "$script"; fi
    done
    unset PGPASSWORD
    pg_ctl -D "$PGDATA" -m fast -w stop
fi
exec "$@"
