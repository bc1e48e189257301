#!/usr/bin/env bash
# Build the images of the nine services and of the deploy jobs, and print what they take.
#
#   infra/images/services.sh                all
#   infra/images/services.sh risk-gate      some
#
# PYTHON_IMAGE and SIGMAX_VERSION come from the environment or .env, as compose.yaml has them. The images share their
# layers of Python and libraries, so one after the other is quicker than all at once.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

setting() { # NAME DEFAULT
    local found
    found="${!1:-$(sed -n "s/^$1=//p" .env 2>/dev/null | tail -n 1 | tr -d "'\"")}"
    printf '%s\n' "${found:-$2}"
}

PYTHON_IMAGE="$(setting PYTHON_IMAGE python:3.13-slim)"
VERSION="$(setting SIGMAX_VERSION 0.1.0)"
export DOCKER_BUILDKIT="${DOCKER_BUILDKIT:-0}" # every engine has the classic builder; the other may be a missing plugin

if [ $# -gt 0 ]; then wanted=("$@"); else wanted=(services/*/ deploy); fi
built=()
number=0
for one in "${wanted[@]}"; do
    name="$(basename "$one")"
    number=$((number + 1))
    if [ "$name" != deploy ] && [ ! -d "services/$name" ]; then
        echo "There is no service $name. There are: $(ls services | tr '\n' ' ')and deploy" >&2
        exit 2
    fi
    printf '[%d/%d] sigmax/%s:%s\n' "$number" "${#wanted[@]}" "$name" "$VERSION" >&2
    target=service
    if [ "$name" = deploy ]; then target=deploy; fi
    log="$(docker build --target "$target" --build-arg PYTHON_IMAGE="$PYTHON_IMAGE" --build-arg VERSION="$VERSION" \
        --build-arg SERVICE="$name" -t "sigmax/$name:$VERSION" . 2>&1)" || { printf '%s\n' "$log" >&2; exit 1; }
    built+=("sigmax/$name:$VERSION")
done

# A layer counts once, however many images stand on it.
docker image inspect "${built[@]}" | python3 -c '
import json, subprocess, sys

seen, whole = set(), 0
print("%-34s %8s %11s" % ("image", "size MB", "its own MB"))
for image in json.load(sys.stdin):
    name = image["RepoTags"][0]
    text = subprocess.run(["docker", "history", "--no-trunc", "--human=false", "--format", "{{.Size}}", name],
                          capture_output=True, text=True, check=True).stdout
    sizes = [int(size) for size in text.split() if int(size)][::-1]
    layers = image["RootFS"]["Layers"]
    # A layer without content has a size of 0 in the history and yet an entry in the list of layers.
    sizes = sizes if len(sizes) == len(layers) else [0] * (len(layers) - len(sizes)) + sizes
    own = sum(size for layer, size in zip(layers, sizes) if layer not in seen)
    seen.update(layers)
    whole += own
    print("%-34s %8.0f %11.1f" % (name, image["Size"] / 1e6, own / 1e6))
print("%-34s %8s %11.1f" % ("all together", "", whole / 1e6))
'
