#!/usr/bin/env bash
# Builds the image of the Hermes agent, prism-hermes:VERSION, in the engine that `docker` talks to.
#
# usage: build.sh
#
# The variables PRISM_BASE, PRISM_ROOTFS_CACHE and PRISM_PULL_TIMEOUT are those of ../debian/base.sh.
#
# Needs docker, and python3 with pip; without a registry also debootstrap. pip and apt run on this machine with
# this machine's settings (index, mirror, proxy, certificates); the build itself needs no network.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# What is installed is said where the gateway's part of the protocol is.
release=$here/../../prism-server-core/src/adapters/harness/hermes/release

python=3.11
version=$(sed -n 's/^hermes-agent.*==//p' "$release/requirements.txt")
image=prism-hermes:$version

# shellcheck source=../debian/base.sh
source "$here/../debian/base.sh"

download_wheels() {
    local machine
    case $(docker version --format '{{.Server.Arch}}') in
        amd64) machine=x86_64 ;;
        arm64) machine=aarch64 ;;
        *) fail "there are wheels for amd64 and arm64 only" ;;
    esac
    local platforms=()
    for glibc in 2_36 2_35 2_34 2_31 2_28 2_27 2_26 2_24 2_17; do
        platforms+=(--platform "manylinux_${glibc}_$machine")
    done
    say "wheels: downloading for Python $python, $machine"
    python3 -m pip download --quiet --disable-pip-version-check --dest "$work/context/wheels" \
        --only-binary :all: --implementation cp --python-version "$python" \
        "${platforms[@]}" --platform "manylinux2014_$machine" \
        --requirement "$release/requirements.txt" --constraint "$release/constraints.txt"
    # pip installs the others, from its own wheel.
    python3 -m pip download --quiet --disable-pip-version-check --dest "$work/context/wheels" --no-deps \
        --only-binary :all: 'pip>=25'
}

begin
mkdir -p "$work/context/wheels"
make_base
download_wheels
cp "$here/Dockerfile" "$release"/{requirements,constraints}.txt "$work/context/"
say "image: building $image"
docker build --quiet --build-arg "BASE=$base" --tag "$image" "$work/context" >&2
say_size "$image"
