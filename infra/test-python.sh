#!/usr/bin/env bash
# Run tests on another Python than this machine's, inside a container: those that need no server.
#
#   infra/test-python.sh                        Python 3.13, every test that needs no server
#   infra/test-python.sh 3.12 pytest -q tests   another version, and what to run in the root of the repository
#
# The container sees this clone read-only. The packages of requirements.lock are installed once per version, into
# ${XDG_CACHE_HOME:-~/.cache}/sigmax/python-<version>. The image is PYTHON_IMAGE, by default python:<version>-slim, or
# sigmax/python:<version> (of `make images-airgap`) where that alone is there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

version="${1:-3.13}"
shift || true
if [ $# = 0 ]; then set -- pytest -q -m "not integration and not e2e"; fi

image="${PYTHON_IMAGE:-python:$version-slim}"
if [ -z "${PYTHON_IMAGE:-}" ] && ! docker image inspect "$image" >/dev/null 2>&1 &&
    docker image inspect "sigmax/python:$version" >/dev/null 2>&1; then
    image="sigmax/python:$version"
fi
cache="${XDG_CACHE_HOME:-$HOME/.cache}/sigmax/python-$version"
mkdir -p "$cache"

# The network of the machine: packages come from where it gets its own. What is run then opens no port to the outside.
exec docker run --rm --init --network host --cap-drop ALL --security-opt no-new-privileges \
    --user "$(id -u):$(id -g)" --env HOME=/tmp/home --tmpfs /tmp:exec,size=1g,mode=1777 \
    --volume "$PWD:/repository:ro" --volume "$cache:/cache" --workdir /repository \
    --env PYTHONDONTWRITEBYTECODE=1 --env PIP_CACHE_DIR=/cache/pip --env PIP_DISABLE_PIP_VERSION_CHECK=1 \
    --env PIP_INDEX_URL --env PIP_EXTRA_INDEX_URL --env HTTP_PROXY --env HTTPS_PROXY --env NO_PROXY \
    --env HYPOTHESIS_STORAGE_DIRECTORY=/tmp/hypothesis \
    "$image" bash -euo pipefail -c '
        export PYTHONPATH=shared/src:infra/local/src
        for source in services/*/src; do PYTHONPATH+=:$source; done
        wanted="$(python3 --version) $(sha256sum <requirements.lock)"
        if [ "$(cat /cache/stamp 2>/dev/null)" != "$wanted" ]; then
            echo "Installing the packages of requirements.lock for $(python3 --version)" >&2
            rm -f /cache/stamp
            python3 -m venv --clear /cache/venv
            PYTHONDONTWRITEBYTECODE= /cache/venv/bin/pip install --quiet --no-deps --require-hashes -r requirements.lock
            printf "%s\n" "$wanted" >/cache/stamp
        fi
        export PATH="/cache/venv/bin:$PATH"
        python --version
        program="$1"; shift
        if [ "$program" = pytest ]; then set -- -p no:cacheprovider "$@"; fi
        exec "$program" "$@"' bash "$@"
