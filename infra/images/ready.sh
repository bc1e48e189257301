#!/usr/bin/env bash
# Make an engine and all images ready for the tests: official bases where they are here or can be fetched, else those of
# build.sh; then the images of the services.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

OFFICIAL=(python:3.13-slim postgres:17 redis:8 rabbitmq:4)

have_official() {
    local image
    for image in "${OFFICIAL[@]}"; do
        docker image inspect "$image" >/dev/null 2>&1 || docker pull --quiet "$image" >/dev/null 2>&1 || return 1
    done
}

infra/images/engine.sh
if grep -qs '^PYTHON_IMAGE=' .env || ! have_official; then infra/images/build.sh --env .env; fi
exec infra/images/services.sh
