# What the images have in common, for their build.sh to source: the base prism-debian:SUITE and what makes it.
#
#   PRISM_BASE=auto|pull|debootstrap
#       Where Debian comes from: a registry, or the mirror that apt uses on this machine. Default: auto, which
#       asks the registry first. debootstrap has to run as root.
#   PRISM_ROOTFS_CACHE=DIRECTORY
#       Keeps what debootstrap made in DIRECTORY/rootfs, and takes it from there the next time.
#   PRISM_PULL_TIMEOUT=SECONDS
#       How long the registry may take. Default: 60.
#
# Needs docker; without a registry also debootstrap. apt runs on this machine with this machine's settings (mirror, proxy,
# certificates); the build itself needs no network.
# shellcheck shell=bash
debian=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

suite=bookworm
# python3 runs agents; tini reaps what they leave; the others are what a terminal is used for most. No curl, for there
# is no network to use it on.
packages=(ca-certificates git python3 ripgrep tini)
base=prism-debian:$suite

say() { printf '== %s\n' "$*" >&2; }
fail() { printf 'build.sh: %s\n' "$*" >&2; exit 1; }

# Looks for the engine, and makes the directory $work, which goes with the script.
begin() {
    docker version --format '{{.Server.Version}}' >/dev/null ||
        fail "no engine answers: start Docker, or set DOCKER_HOST"
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
}

say_size() {
    local size
    size=$(docker image inspect --format '{{.Size}}' "$1")
    say "image: $1, $((size / 1000 / 1000)) MB"
}

# What a base is made of: one that was made of the same is used again.
recipe() {
    { echo "$suite ${packages[*]}"; cat "$debian/strip.sh"; } | sha256sum | cut -c1-16
}

pull_base() {
    say "base: asking the registry for debian:$suite-slim"
    timeout "${PRISM_PULL_TIMEOUT:-60}" docker pull --quiet "debian:$suite-slim" >&2 || return 1
    mkdir -p "$work/base"
    cp "$debian/Dockerfile" "$work/base/"
    cp "$debian/strip.sh" "$work/base/"
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
        "$debian/strip.sh" "$root"
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
