#!/usr/bin/env bash
# Make the images that all others stand on from Debian's packages, for a machine that reaches Debian and no image registry.
# Where a registry is reached nothing of this is needed: compose.yaml and the Dockerfiles name the official images.
#
#   infra/images/build.sh              make what is missing or changed; print the sizes
#   infra/images/build.sh --env .env   and name these images in .env, whose other lines stay
#   infra/images/build.sh --fresh      take Debian's newest packages, also for images that are there
#
# Needs a Docker engine (infra/images/engine.sh starts one) and mmdebstrap, which is installed where that can be done. Where
# Docker has no `compose` command, Debian's is put into ${DOCKER_CONFIG:-~/.docker}/cli-plugins.
#
#   SUITE          Debian's suite (trixie: Python 3.13, Node.js 20, PostgreSQL 17, Redis 8, RabbitMQ 4, Prometheus 2)
#   PREFIX         before each name (sigmax)
#   EXTRA_CA_DIR   *.crt in it are trusted in the images that fetch packages (/usr/local/share/ca-certificates); do not pass
#                  such an image on to people who must not trust them
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

SUITE="${SUITE:-trixie}"
PREFIX="${PREFIX:-sigmax}"
EXTRA_CA_DIR="${EXTRA_CA_DIR:-/usr/local/share/ca-certificates}"
BASE="$PREFIX/debian:$SUITE"
PLUGINS="${DOCKER_CONFIG:-$HOME/.docker}/cli-plugins"
# The slowest first, so that the last two end together.
IMAGES=(python:3.13 node:20 postgres:17 prometheus:2 rabbitmq:4 redis:8)
export DOCKER_BUILDKIT=0 # every engine has the classic builder; the other is a plugin

say() { printf '%s\n' "$*" >&2; }
die() { printf '%s\n' "$@" >&2; exit 1; }
report() { printf '  %-26s %12s %10s\n' "$@" >&2; }

key_of() { docker image inspect -f '{{index .Config.Labels "sigmax.key"}}' "$1" 2>/dev/null || true; }
id_of() { docker image inspect -f '{{.Id}}' "$1" 2>/dev/null || true; }

# remove_replaced ID NAME: what had the name before, unless containers or other images still stand on it.
remove_replaced() {
    if [ -n "$1" ] && [ "$1" != "$(id_of "$2")" ]; then docker image rm "$1" >/dev/null 2>&1 || true; fi
}

megabytes() { echo "$(($(docker image inspect -f '{{.Size}}' "$1") / 1000000)) MB"; }

base() {
    local key start=$SECONDS
    key="$({ echo "$SUITE"; cat debian/tree.sh; } | sha256sum | cut -c1-16)"
    if [ "$FRESH" = no ] && [ "$(key_of "$BASE")" = "$key" ]; then
        report "$BASE" unchanged "$(megabytes "$BASE")"
        return
    fi
    command -v mmdebstrap >/dev/null || ../bootstrap.sh packages mmdebstrap ||
        die "mmdebstrap makes the first image and is not here. On Debian or Ubuntu: sudo apt-get install -y mmdebstrap"
    if ! debian/tree.sh "$SUITE" 2>"$WORK/base.log" |
        docker import --change 'CMD ["bash"]' --change "LABEL sigmax.key=$key" - "$WORK_IMAGE" >/dev/null; then
        docker image rm "$WORK_IMAGE" >/dev/null 2>&1 || true
        tail -n 20 "$WORK/base.log" >&2
        die "$BASE could not be made. Does this machine reach Debian? sudo apt-get update shows it."
    fi
    OLD_BASE="$(id_of "$BASE")"
    docker tag "$WORK_IMAGE" "$BASE"
    docker image rm "$WORK_IMAGE" >/dev/null
    report "$BASE" "$((SECONDS - start)) s" "$(megabytes "$BASE")"
}

# The host's own sources of packages stay as they are: the package is fetched inside the base image.
compose_plugin() {
    local start=$SECONDS
    if docker compose version >/dev/null 2>&1; then return; fi
    mkdir -p "$PLUGINS"
    docker run --rm "$BASE" sh -euc '
        apt-get update -qq
        cd /tmp
        apt-get download -qq docker-compose
        dpkg-deb -x docker-compose_*.deb out
        tar -C out/usr/libexec/docker/cli-plugins -c .' 2>"$WORK/compose.log" | tar -C "$PLUGINS" -x || {
        tail -n 20 "$WORK/compose.log" >&2
        die "docker compose could not be installed into $PLUGINS. Do containers reach Debian?" \
            "  docker run --rm $BASE apt-get update"
    }
    docker compose version >/dev/null || die "docker compose was installed into $PLUGINS and does not start."
    report "docker compose" "$((SECONDS - start)) s" ""
}

# image NAME:TAG: the key of what it was made from is kept in a label, which also survives save and load.
image() {
    local name="$PREFIX/$1" folder="${1%:*}" context="$WORK/${1%:*}" key old start=$SECONDS
    cp -R "$folder" "$context"
    if grep -q '^COPY extra-ca/' "$folder/Dockerfile"; then
        mkdir "$context/extra-ca"
        find "$EXTRA_CA_DIR" -maxdepth 1 -name '*.crt' -exec cp {} "$context/extra-ca" \; 2>/dev/null || true
    fi
    key="$({
        id_of "$BASE"
        cd "$context"
        find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
    } | sha256sum | cut -c1-16)"
    if [ "$(key_of "$name")" = "$key" ]; then
        report "$name" unchanged "$(megabytes "$name")"
        return
    fi
    old="$(id_of "$name")"
    if ! docker build --build-arg BASE_IMAGE="$BASE" --label "sigmax.key=$key" -t "$name" "$context" >"$context.log" 2>&1; then
        tail -n 30 "$context.log" >&2
        die "$name could not be made. Do containers reach Debian?  docker run --rm $BASE apt-get update"
    fi
    remove_replaced "$old" "$name"
    report "$name" "$((SECONDS - start)) s" "$(megabytes "$name")"
}

# Two at a time: one fetches packages while the other unpacks its own.
images() {
    local name running=0 failed=no
    for name in "${IMAGES[@]}"; do
        if [ "$running" = 2 ]; then
            wait -n || failed=yes
            running=1
        fi
        image "$name" &
        running=$((running + 1))
    done
    while [ "$running" -gt 0 ]; do
        wait -n || failed=yes
        running=$((running - 1))
    done
    [ "$failed" = no ]
}

variables() {
    local name
    for name in "${IMAGES[@]}"; do
        printf '%s_IMAGE=%s\n' "$(tr '[:lower:]' '[:upper:]' <<<"${name%:*}")" "$PREFIX/$name"
        # Both programs are in one image.
        if [ "${name%:*}" = prometheus ]; then printf 'ALERTMANAGER_IMAGE=%s\n' "$PREFIX/$name"; fi
    done
}

# Written into the file, not beside it: its rights stay, and so does a link.
write_env() {
    local file="$1" names kept=""
    names="$(variables | cut -d= -f1 | paste -sd '|' -)"
    if [ -e "$file" ]; then kept="$(grep -vE "^($names)=" "$file" || true)"; fi
    { [ -z "$kept" ] || printf '%s\n' "$kept"; variables; } >"$file"
    say "The images are named in $file."
}

# All images share the layer of the base: it is on disk once.
table() {
    local name size base_size total
    base_size="$(docker image inspect -f '{{.Size}}' "$BASE")"
    total="$base_size"
    printf '%-26s %10s %16s\n' IMAGE SIZE "BEYOND THE BASE"
    printf '%-26s %10s\n' "$BASE" "$(megabytes "$BASE")"
    for name in "${IMAGES[@]}"; do
        size="$(docker image inspect -f '{{.Size}}' "$PREFIX/$name")"
        total=$((total + size - base_size))
        printf '%-26s %10s %16s\n' "$PREFIX/$name" "$((size / 1000000)) MB" "$(((size - base_size) / 1000000)) MB"
    done
    printf '%-26s %10s\n' "on disk" "$((total / 1000000)) MB"
}

ENV_FILE="" FRESH=no OLD_BASE=""
while [ "$#" -gt 0 ]; do
    case "$1" in
        --env)
            [ -n "${2:-}" ] || die "--env needs the name of a file"
            ENV_FILE="$2"
            # Relative to where the caller stands, not to this folder.
            [ "${ENV_FILE:0:1}" = / ] || ENV_FILE="$OLDPWD/$ENV_FILE"
            shift 2
            ;;
        --fresh) FRESH=yes; shift ;;
        *) die "usage: infra/images/build.sh [--env FILE] [--fresh]" ;;
    esac
done
docker info >/dev/null 2>&1 || die "No Docker engine answers. infra/images/engine.sh starts one, or says why it cannot."

WORK="$(mktemp -d)"
WORK_IMAGE="$PREFIX/debian:new-$$"
trap 'rm -rf "$WORK"' EXIT
say "Images from Debian $SUITE, in seconds and megabytes:"
base
compose_plugin
images
remove_replaced "$OLD_BASE" "$BASE"
if [ -n "$ENV_FILE" ]; then write_env "$ENV_FILE"; fi
table
