#!/usr/bin/env bash
# Write a small Debian as a tar archive, 80 MB: what all images here stand on.
#
#   tree.sh SUITE | docker import - NAME
set -euo pipefail

# No manuals, no translations. Nothing in a container becomes another user by running a program, so none has the right to.
# shellcheck disable=SC2016  # mmdebstrap gives its hooks the folder as their first argument
exec mmdebstrap --quiet --variant=minbase \
    --aptopt='Acquire::Languages "none"' \
    --aptopt='APT::Install-Recommends "false"' \
    --dpkgopt='force-unsafe-io' \
    --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --customize-hook='find "$1" -xdev -type f -perm /6000 -exec chmod a-s {} +' \
    "$1" -
