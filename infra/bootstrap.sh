#!/usr/bin/env bash
# Make this clone ready to run, on a machine that has nothing but git, make, and Python.
#
#   infra/bootstrap.sh                the Python environment in .venv, from requirements.lock with hashes
#   infra/bootstrap.sh servers        and PostgreSQL, Redis, RabbitMQ; fails when they are missing and cannot be installed
#   infra/bootstrap.sh servers-maybe  the same, but only warns
#   infra/bootstrap.sh uv             the path of uv, installed from PyPI when the machine has none
#   infra/bootstrap.sh packages ...   these packages of Debian, whose servers do not start by it; for other scripts here
#
# Writes to the clone and to ${XDG_CACHE_HOME:-~/.cache}/sigmax. Packages of the system are installed on Debian and its
# relatives by root (or sudo without a password) alone; their servers are neither started nor enabled.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

CACHE="${XDG_CACHE_HOME:-$HOME/.cache}/sigmax"
VENV="$PWD/.venv"
STAMP="$VENV/.sigmax-stamp"
export UV_CACHE_DIR="$CACHE/uv" UV_PYTHON_DOWNLOADS=never UV_NO_PROGRESS=1 UV_LINK_MODE="${UV_LINK_MODE:-copy}"
# The lock says what is installed and under which hash, whatever index the machine is set to.
export PIP_CACHE_DIR="$CACHE/pip" PIP_DISABLE_PIP_VERSION_CHECK=1
unset VIRTUAL_ENV
# Who trusts a certificate authority of their own has told the system, not uv.
for bundle in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem; do
    if [ -e "$bundle" ]; then export UV_SYSTEM_CERTS=1 UV_NATIVE_TLS=1; fi
done

say() { printf '%s\n' "$*" >&2; }
die() { say "$@"; exit 1; }

# Give the words that make a command run as root; fail when there are none.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        sudo -n "$@"
    else
        return 1
    fi
}

can_install() { command -v apt-get >/dev/null && as_root true; }

# Install packages of Debian and keep their servers from starting: the stack starts private ones. A policy that is
# there already stays as it is.
apt_install() {
    local policy=/usr/sbin/policy-rc.d made_policy=no status=0 unit
    say "Installing from the system's packages: $*"
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
        as_root chmod 755 "$policy"
        made_policy=yes
        trap 'as_root rm -f /usr/sbin/policy-rc.d' EXIT
    fi
    {
        as_root apt-get update -qq &&
            as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
    } >"$CACHE/apt.log" 2>&1 </dev/null || status=$?
    if [ "$made_policy" = yes ]; then
        as_root rm -f "$policy"
        trap - EXIT
    fi
    if [ "$status" != 0 ]; then
        tail -n 15 "$CACHE/apt.log" >&2
        return "$status"
    fi
    if [ -d /run/systemd/system ]; then
        for unit in "$@"; do
            as_root systemctl disable --quiet "$unit" 2>/dev/null || true
        done
    fi
}

find_python() {
    local candidate
    for candidate in python3.13 python3.12 python3.11 python3 /usr/bin/python3; do
        if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
            "$candidate" -c 'import sys; print(sys.executable)'
            return
        fi
    done
    die "Python 3.11, 3.12, or 3.13 is needed." \
        "  Debian, Ubuntu   sudo apt-get install -y python3 python3-venv" \
        "  Fedora           sudo dnf install -y python3.13" \
        "  macOS            brew install python@3.13"
}

# Print the path of uv; install it from PyPI into our cache where the machine has none.
find_uv() {
    if uv --version >/dev/null 2>&1; then
        command -v uv
        return
    fi
    local home="$CACHE/uv-tool"
    if [ ! -x "$home/bin/uv" ]; then
        say "Installing uv from PyPI into $home"
        rm -rf "$home"
        if ! "$PYTHON" -m venv "$home" >/dev/null 2>&1; then
            # Debian keeps the part of Python that makes environments in a package of its own.
            rm -rf "$home"
            if ! can_install || ! apt_install python3-venv || ! "$PYTHON" -m venv "$home" >&2; then
                rm -rf "$home"
                die "Python's venv module does not work here. On Debian: sudo apt-get install -y python3-venv" \
                    "(or install uv yourself: https://docs.astral.sh/uv)"
            fi
        fi
        "$home/bin/python" -m pip install --quiet "uv>=0.9,<1" >&2 || { rm -rf "$home"; die "uv could not be installed from PyPI."; }
    fi
    printf '%s\n' "$home/bin/uv"
}

fingerprint() {
    { "$PYTHON" --version; cat requirements.lock shared/pyproject.toml infra/local/pyproject.toml services/*/pyproject.toml; } |
        "$PYTHON" -c 'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())'
}

environment() {
    local wanted member members=()
    wanted="$(fingerprint) $VENV"
    if [ -x "$VENV/bin/python" ] && [ "$(cat "$STAMP" 2>/dev/null)" = "$wanted" ]; then
        return
    fi
    UV="$(find_uv)"
    say "Installing the Python packages of requirements.lock into .venv"
    rm -f "$STAMP"
    "$VENV/bin/python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null ||
        "$UV" venv --quiet --clear --python "$PYTHON" "$VENV"
    # Compiled once here: nine services that each compile ccxt and friends at their start would take much longer.
    "$UV" pip install --quiet --compile-bytecode --python "$VENV/bin/python" --require-hashes -r requirements.lock
    for member in shared infra/local services/*/; do
        members+=(-e "./${member%/}")
    done
    "$UV" pip install --quiet --python "$VENV/bin/python" --no-deps --no-build-isolation "${members[@]}"
    printf '%s\n' "$wanted" >"$STAMP"
}

servers() {
    local missing
    missing="$("$VENV/bin/python" -m sigmax_local.servers missing)" || return 1
    [ -z "$missing" ] && return
    # shellcheck disable=SC2086  # one word per package
    if can_install && apt_install $missing && [ -z "$("$VENV/bin/python" -m sigmax_local.servers missing)" ]; then
        return
    fi
    "$VENV/bin/python" -m sigmax_local.servers missing --explain >&2
    return 1
}

mkdir -p "$CACHE"
if [ "${1:-}" = packages ]; then
    shift
    can_install || die "Packages are installed on Debian and its relatives by root (or sudo without a password) alone: $*"
    apt_install "$@"
    exit
fi
PYTHON="$(find_python)"
case "${1:-}" in
    servers)
        environment
        servers
        ;;
    servers-maybe)
        environment
        servers || say "Going on without: tests on real servers are skipped."
        ;;
    uv) find_uv ;;
    "") environment ;;
    *) die "usage: infra/bootstrap.sh [servers | servers-maybe | uv | packages NAME ...]" ;;
esac
