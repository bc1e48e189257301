#!/usr/bin/env bash
# Make the images of the three servers from Debian's packages, for a machine that reaches Debian and no image registry.
# Where a registry is reached nothing of this is needed: compose.yaml names the official images.
#
#   infra/images/build.sh >> .env     .env then names these images; progress goes to the error output
#
# Needs docker, and mmdebstrap to make the first image. Where Docker has no `compose` command, Debian's is put into
# ${DOCKER_CONFIG:-~/.docker}/cli-plugins. An image whose folder is unchanged is not made again.
#
#   SUITE    Debian's suite      (trixie: PostgreSQL 17, Redis 8, RabbitMQ 4)
#   PREFIX   before each name    (sigmax)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

SUITE="${SUITE:-trixie}"
PREFIX="${PREFIX:-sigmax}"
BASE="$PREFIX/debian:$SUITE"
PLUGINS="${DOCKER_CONFIG:-$HOME/.docker}/cli-plugins"
export DOCKER_BUILDKIT=0 # every engine has the classic builder; the other is a plugin

say() { printf '%s\n' "$*" >&2; }
die() { say "$@"; exit 1; }

# A base tree of Debian without manuals and translations, 80 MB.
base() {
    if docker image inspect "$BASE" >/dev/null 2>&1; then return; fi
    command -v mmdebstrap >/dev/null || die "mmdebstrap is needed: sudo apt-get install -y mmdebstrap"
    say "Making $BASE"
    mmdebstrap --quiet --variant=minbase \
        --aptopt='Acquire::Languages "none"' \
        --aptopt='APT::Install-Recommends "false"' \
        --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' \
        --dpkgopt='path-exclude=/usr/share/doc/*' \
        --dpkgopt='path-include=/usr/share/doc/*/copyright' \
        "$SUITE" - | docker import --change 'CMD ["bash"]' - "$BASE" >/dev/null
}

# The host's own sources of packages stay as they are: the package is fetched inside the base image.
compose_plugin() {
    if docker compose version >/dev/null 2>&1; then return; fi
    say "Installing docker compose into $PLUGINS"
    mkdir -p "$PLUGINS"
    docker run --rm "$BASE" sh -euc '
        apt-get update -qq
        cd /tmp
        apt-get download -qq docker-compose
        dpkg-deb -x docker-compose_*.deb out
        tar -C out/usr/libexec/docker/cli-plugins -c .' | tar -C "$PLUGINS" -x
    docker compose version >&2
}

# image VARIABLE NAME:TAG: the key of what it was made from is kept in a label, which also survives save and load.
image() {
    local variable="$1" name="$PREFIX/$2" folder="${2%:*}" key log
    key="$({ docker image inspect -f '{{.Id}}' "$BASE"; cat "$folder"/*; } | sha256sum | cut -c1-16)"
    if [ "$(docker image inspect -f '{{index .Config.Labels "sigmax.key"}}' "$name" 2>/dev/null)" != "$key" ]; then
        say "Making $name"
        log="$(docker build --build-arg BASE_IMAGE="$BASE" --label "sigmax.key=$key" -t "$name" "$folder" 2>&1)" ||
            die "$log" "$name could not be made."
    fi
    printf '%s=%s\n' "$variable" "$name"
}

docker info >/dev/null 2>&1 || die "No Docker engine answers. Is it running, and may you use it?"
base
compose_plugin
image POSTGRES_IMAGE postgres:17
image REDIS_IMAGE redis:8
image RABBITMQ_IMAGE rabbitmq:4
