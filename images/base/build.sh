#!/usr/bin/env bash
# Builds the image of commands, prism-base:SUITE, in the engine that `docker` talks to.
#
# usage: build.sh
#
# What it needs, and the variables PRISM_BASE, PRISM_ROOTFS_CACHE and PRISM_PULL_TIMEOUT, are those of ../debian/base.sh.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=../debian/base.sh
source "$here/../debian/base.sh"
image=prism-base:$suite

begin
mkdir "$work/context"
make_base
cp "$here/Dockerfile" "$work/context/"
say "image: building $image"
docker build --quiet --build-arg "BASE=$base" --tag "$image" "$work/context" >&2
say_size "$image"
