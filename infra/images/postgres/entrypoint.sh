#!/bin/bash
# Make the data folder at the first start, run the scripts of /docker-entrypoint-initdb.d in it, then start the server.
# The variables are those of the official image; each may be read from the file that <NAME>_FILE names:
#   POSTGRES_PASSWORD  POSTGRES_USER (postgres)  POSTGRES_DB (the user's name)  POSTGRES_INITDB_ARGS
# and POSTGRES_HOST_AUTH_METHOD (scram-sha-256), PGDATA. `IMAGE -c name=value` sets an option of the server.
set -Eeuo pipefail

if [ "${1:0:1}" = "-" ]; then set -- postgres "$@"; fi
if [ "$1" != postgres ]; then exec "$@"; fi
for argument in "$@"; do
    case "$argument" in -V | --version | '-?' | --help | --describe-config) exec "$@" ;; esac
done

# The server refuses to run as root: take over what it was given, and become its user.
if [ "$(id -u)" = 0 ]; then
    mkdir -p "$PGDATA"
    chmod 0700 "$PGDATA"
    find "$PGDATA" /var/run/postgresql ! -user postgres -exec chown postgres {} +
    exec setpriv --reuid=postgres --regid=postgres --init-groups -- "${BASH_SOURCE[0]}" "$@"
fi

# value NAME DEFAULT: of the variable, or what stands in the file that NAME_FILE names.
value() {
    local name="$1" file="${1}_FILE"
    if [ -n "${!name:-}" ] && [ -n "${!file:-}" ]; then
        echo "$name and $file are both set; only one of them can be meant" >&2
        return 1
    fi
    if [ -n "${!file:-}" ]; then cat -- "${!file}"; else printf '%s' "${!name:-$2}"; fi
}

# The shell sources a script without the right to be run, so that it may use what is set here.
run_scripts() {
    local script
    for script in /docker-entrypoint-initdb.d/*; do
        # shellcheck disable=SC1090  # known when the container starts
        case "$script" in
            *.sh) if [ -x "$script" ]; then "$script"; else . "$script"; fi ;;
            *.sql) "${psql[@]}" --dbname "$POSTGRES_DB" -f "$script" ;;
            *.sql.gz) gunzip -c "$script" | "${psql[@]}" --dbname "$POSTGRES_DB" ;;
        esac
    done
}

if [ ! -s "$PGDATA/PG_VERSION" ]; then
    password="$(value POSTGRES_PASSWORD '')"
    POSTGRES_USER="$(value POSTGRES_USER postgres)"
    POSTGRES_DB="$(value POSTGRES_DB "$POSTGRES_USER")"
    initdb_args="$(value POSTGRES_INITDB_ARGS '')"
    auth="${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}"
    export POSTGRES_USER POSTGRES_DB
    if [ -z "$password" ] && [ "$auth" != trust ]; then
        echo "POSTGRES_PASSWORD, or POSTGRES_PASSWORD_FILE that names a file with it, must be set" >&2
        exit 1
    fi
    # Arguments are quoted by whoever gives them, as in the official image.
    eval "initdb --username=\"\$POSTGRES_USER\" --pwfile=<(printf '%s\n' \"\$password\") $initdb_args"
    printf '\nhost all all all %s\n' "$auth" >>"$PGDATA/pg_hba.conf"

    # This server listens on its socket alone: who gets an answer over TCP knows that all scripts have run.
    options="$(printf ' %q' "${@:2}" -c listen_addresses= -p "${PGPORT:-5432}")"
    PGPASSWORD="$password" PGUSER="$POSTGRES_USER" pg_ctl -D "$PGDATA" -o "$options" -w start
    export PGPASSWORD="$password"
    psql=(psql -v ON_ERROR_STOP=1 --no-psqlrc --quiet --username "$POSTGRES_USER" --no-password)
    if [ "$POSTGRES_DB" != postgres ]; then
        "${psql[@]}" --dbname postgres --set name="$POSTGRES_DB" <<<'CREATE DATABASE :"name";'
    fi
    run_scripts
    pg_ctl -D "$PGDATA" -m fast -w stop
    unset PGPASSWORD password
    printf '\nPostgreSQL init process complete; ready for start up.\n\n'
fi
unset POSTGRES_PASSWORD # no part of the server's environment
exec "$@"
