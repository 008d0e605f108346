#!/usr/bin/env bash
# Builds the image of the Hermes agent, prism-hermes:VERSION, in the engine that `docker` talks to.
#
# usage: build.sh
#
#   PRISM_BASE=auto|pull|debootstrap
#       Where Debian comes from: a registry, or the mirror that apt uses on this machine. Default: auto, which
#       asks the registry first. debootstrap has to run as root.
#   PRISM_ROOTFS_CACHE=DIRECTORY
#       Keeps what debootstrap made in DIRECTORY/rootfs, and takes it from there the next time.
#   PRISM_PULL_TIMEOUT=SECONDS
#       How long the registry may take. Default: 60.
#
# Needs docker, and python3 with pip; without a registry also debootstrap. pip and apt run on this machine with
# this machine's settings (index, mirror, proxy, certificates); the build itself needs no network.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# What is installed is said where the gateway's part of the protocol is.
release=$here/../../prism-server-core/src/adapters/harness/hermes/release

suite=bookworm
python=3.11
# python3 runs the agent; tini reaps what it leaves; the others are what its terminal is used for most. No curl,
# for there is no network to use it on.
packages=(ca-certificates git python3 ripgrep tini)
base=prism-debian:$suite
version=$(sed -n 's/^hermes-agent.*==//p' "$release/requirements.txt")
image=prism-hermes:$version

say() { printf '== %s\n' "$*" >&2; }
fail() { printf 'build.sh: %s\n' "$*" >&2; exit 1; }

# What a base is made of: one that was made of the same is used again.
recipe() {
    { echo "$suite ${packages[*]}"; cat "$here/strip.sh"; } | sha256sum | cut -c1-16
}

pull_base() {
    say "base: asking the registry for debian:$suite-slim"
    timeout "${PRISM_PULL_TIMEOUT:-60}" docker pull --quiet "debian:$suite-slim" >&2 || return 1
    mkdir "$work/base"
    cp "$here/base.Dockerfile" "$work/base/Dockerfile"
    cp "$here/strip.sh" "$work/base/"
    docker build --quiet --label "prism.base=$(recipe)" --build-arg "PACKAGES=${packages[*]}" --tag "$base" \
        "$work/base" >&2
}

debootstrap_base() {
    [[ $EUID -eq 0 ]] || fail "debootstrap has to run as root; or use a registry: PRISM_BASE=pull"
    command -v debootstrap >/dev/null || fail "debootstrap is not installed; or use a registry: PRISM_BASE=pull"
    local root=${PRISM_ROOTFS_CACHE:-$work}/rootfs
    if [[ $(cat "$root.recipe" 2>/dev/null) != "$(recipe)" ]]; then
        local mirror
        mirror=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME)' 'Created-By: Packages' |
            awk -v suite="$suite" '$2 == suite { print $1; exit }')
        [[ -n $mirror ]] || fail "apt has no mirror of $suite on this machine; or use a registry: PRISM_BASE=pull"
        say "base: debootstrap $suite (about 2 minutes)"
        rm -rf "$root" "$root.recipe"
        mkdir -p "$root"
        debootstrap --variant=minbase --include="$(IFS=,; echo "${packages[*]}")" "$suite" "$root" "$mirror" \
            >"$work/debootstrap.log" 2>&1 || { tail -n 20 "$work/debootstrap.log" >&2; fail "debootstrap failed"; }
        "$here/strip.sh" "$root"
        recipe >"$root.recipe"
    fi
    say "base: importing $root"
    tar -C "$root" --sort=name --numeric-owner -c . |
        docker import --change 'ENV LANG=C.UTF-8' --change "LABEL prism.base=$(recipe)" - "$base" >/dev/null
}

make_base() {
    local has
    has=$(docker image inspect --format '{{index .Config.Labels "prism.base"}}' "$base" 2>/dev/null) || has=
    if [[ $has == "$(recipe)" ]]; then
        say "base: $base is up to date"
        return
    fi
    case ${PRISM_BASE:-auto} in
        auto) pull_base || debootstrap_base ;;
        pull) pull_base || fail "the registry did not give debian:$suite-slim" ;;
        debootstrap) debootstrap_base ;;
        *) fail "PRISM_BASE has to be auto, pull or debootstrap" ;;
    esac
}

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

docker version --format '{{.Server.Version}}' >/dev/null || fail "no engine answers: start Docker, or set DOCKER_HOST"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/context/wheels"
make_base
download_wheels
cp "$here/Dockerfile" "$release"/{requirements,constraints}.txt "$work/context/"
say "image: building $image"
docker build --quiet --build-arg "BASE=$base" --tag "$image" "$work/context" >&2
size=$(docker image inspect --format '{{.Size}}' "$image")
say "image: $image, $((size / 1000 / 1000)) MB"
