#!/usr/bin/env bash
# Makes sure that the base images of our Dockerfile and docker-compose.yml are
# there, also where no image registry can be reached.
#
#   images.sh                     all of them
#   images.sh debian influxdb     only these (of debian, rust, influxdb)
#   images.sh --help
#
# Call it with the variables of `eval "$(docker.sh up)"`. An image that the
# engine has, or can pull, is used as it is. Otherwise a stand-in is made under
# the same name (see images/*.Dockerfile): Debian by debootstrap, Rust from the
# toolchain of this host, InfluxDB from the server that influxd.sh finds. A
# stand-in is made anew when what it was made from has changed. It carries this
# host's CA bundle, apt and Cargo settings, so it is for this host only.
#
# The cache is ${TAILGAUGE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tailgauge}.

# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

DEBIAN=debian:bookworm-slim
RUST=rust:1.95-bookworm
INFLUXDB=influxdb:2.9
SUITE=bookworm
ROOTFS="$PARTS_CACHE/images/$SUITE-rootfs.tar"
# A stand-in has this label; its value says what it was made from.
LABEL=tailgauge.stand-in

# made_from IMAGE: the label of a stand-in, nothing for a real image; fails
# when there is no such image.
made_from() {
    docker image inspect --format "{{with .Config.Labels}}{{index . \"$LABEL\"}}{{end}}" "$1" 2>/dev/null
}

# real IMAGE: is it there, or to be had, without a stand-in?
real() {
    local print
    if print="$(made_from "$1")"; then
        [[ -z $print ]] || return 1
        say "$1: there"
    elif timeout 600 docker pull --quiet "$1" >/dev/null 2>&1; then
        say "$1: pulled"
    else
        say "$1: not there and not to be pulled"
        return 1
    fi
}

# current IMAGE PRINT: is a stand-in made from just this there?
current() {
    [[ "$(made_from "$1")" == "$2" ]] || return 1
    say "$1: stand-in there"
}

# make IMAGE CONTEXT PRINT: a build takes nothing from a registry of images.
make() {
    step "make a stand-in for $1" \
        env DOCKER_BUILDKIT=1 docker build --quiet --label "$LABEL=$3" --tag "$1" "$2"
}

# fingerprint CONTEXT: of the names and contents below a build context.
fingerprint() {
    (cd "$1" && find . -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum | cut -c 1-16)
}

# settings PATTERN: `ENV` lines for the variables of this host that match.
settings() {
    env | grep -iE "^($1)=" | grep -viE '^[^=]*(TOKEN|PASSWORD|SECRET)' |
        sed -E 's/(["\\$])/\\\1/g; s/^([^=]+)=(.*)$/ENV \1="\2"/' | sort || true
}

# debian_sources: where this host's apt takes Debian from, as URI SUITE COMPONENT.
debian_sources() {
    # shellcheck disable=SC2016 # apt's own variables
    apt-get indextargets --format '$(CREATED_BY) $(ORIGIN) $(REPO_URI) $(RELEASE) $(COMPONENT)' |
        awk '$1 == "Packages" && $2 == "Debian" { print $3, $4, $5 }' | sort -u
}

make_rootfs() {
    local root="$WORK/rootfs" mirror
    mirror="$(debian_sources | awk -v suite="$SUITE" '$2 == suite { print $1; exit }')"
    debootstrap --variant=minbase --include=ca-certificates "$SUITE" "$root" ${mirror:+"$mirror"} >"$WORK/log" || {
        tail -n 20 "$WORK/log"
        return 1
    }
    # What the official image has left out too.
    rm -rf "${root:?}"/var/lib/apt/lists/* "${root:?}"/var/cache/apt/*.bin "${root:?}"/var/cache/apt/archives/*.deb \
        "${root:?}"/var/log/*.log "${root:?}"/usr/share/{doc,man,info,locale,lintian}/* "${root:?}"/dev/*
    tar --numeric-owner -C "$root" -cf "$ROOTFS.new" .
    mv "$ROOTFS.new" "$ROOTFS"
    rm -rf "${root:?}"
}

# host_debian INTO: how this host reaches Debian's packages, and whom it trusts.
host_debian() {
    local into="$1"
    mkdir -p "$into/etc/ssl/certs" "$into/etc/apt/apt.conf.d" "$into/usr/local/share/ca-certificates"
    cp /etc/ssl/certs/ca-certificates.crt "$into/etc/ssl/certs/"
    find /usr/local/share/ca-certificates -name '*.crt' -exec cp {} "$into/usr/local/share/ca-certificates/" \;
    debian_sources | sed 's/^/deb /' >"$into/etc/apt/sources.list"
    [[ -s $into/etc/apt/sources.list ]] || rm "$into/etc/apt/sources.list"
    apt-config dump | grep -E '^Acquire::(Check-|http|https|ForceIPv)' >"$into/etc/apt/apt.conf.d/90host" || true
}

debian() {
    local context="$WORK/debian" print
    mkdir -p "$context"
    # The sources are known by their origin only once apt has read the lists.
    [[ -n "$(debian_sources)" ]] || step "apt-get update" apt-get update -qq
    cp "$PARTS_DIR/images/debian.Dockerfile" "$context/Dockerfile"
    settings 'https?_proxy|no_proxy' >>"$context/Dockerfile"
    host_debian "$context/host"
    print="$(fingerprint "$context")"
    ! current "$DEBIAN" "$print" || return 0
    if [[ ! -e $ROOTFS ]]; then
        need_root debootstrap
        apt_provide debootstrap=debootstrap
        step "debootstrap $SUITE" make_rootfs
    fi
    ln "$ROOTFS" "$context/rootfs.tar"
    make "$DEBIAN" "$context" "$print"
}

rust() {
    local context="$WORK/rust" version wanted print sysroot file
    wanted="${RUST#rust:}"
    wanted="${wanted%-*}"
    # Outside the checkout, whose toolchain file might name another one.
    version="$(cd / && rustc --version)"
    [[ $version == "rustc $wanted."* ]] || die "$RUST cannot be made from $version"
    mkdir -p "$context/toolchain" "$context/host/usr/local/cargo"
    cp "$PARTS_DIR/images/rust.Dockerfile" "$context/Dockerfile"
    settings 'CARGO_(HTTP|NET|REGISTRIES|REGISTRY|SOURCE)_[A-Z0-9_]*' >>"$context/Dockerfile"
    for file in config.toml config; do
        file="${CARGO_HOME:-$HOME/.cargo}/$file"
        [[ ! -f $file ]] || cp "$file" "$context/host/usr/local/cargo/"
    done
    printf '%s\n' "$version" "$(made_from "$DEBIAN")" >"$context/made-from"
    print="$(fingerprint "$context")"
    ! current "$RUST" "$print" || return 0
    sysroot="$(cd / && rustc --print sysroot)"
    cp -al "$sysroot/bin" "$sysroot/lib" "$context/toolchain/" 2>/dev/null ||
        cp -a "$sysroot/bin" "$sysroot/lib" "$context/toolchain/"
    make "$RUST" "$context" "$print"
}

influxdb() {
    local context="$WORK/influxdb" influxd print
    influxd="$("$PARTS_DIR/influxd.sh")"
    mkdir -p "$context"
    cp "$PARTS_DIR/images/influxdb.Dockerfile" "$context/Dockerfile"
    cp "$PARTS_DIR/images/influxdb-entrypoint.sh" "$context/"
    cp "$influxd" "$context/influxd"
    made_from "$DEBIAN" >"$context/made-from"
    print="$(fingerprint "$context")"
    ! current "$INFLUXDB" "$print" || return 0
    make "$INFLUXDB" "$context" "$print"
}

if [[ ${1:-} == -h || ${1:-} == --help ]]; then
    usage
    exit
fi
for name in "$@"; do
    [[ $name =~ ^(debian|rust|influxdb)$ ]] || die "unknown image '$name' (see --help)"
done
docker version >/dev/null 2>&1 || die "no Docker engine answers; eval \"\$(docker.sh up)\" first"
lock images

# Build contexts; on the cache's file system, so that big things can be linked.
mkdir -p "$PARTS_CACHE/images"
WORK="$(mktemp -d "$PARTS_CACHE/images/work.XXXXXX")"
trap 'rm -rf "$WORK"' EXIT

# Debian comes first: the other two stand-ins are built on it.
(($#)) || set -- rust influxdb
real "$DEBIAN" || debian
for name in "$@"; do
    case "$name" in
        rust) real "$RUST" || rust ;;
        influxdb) real "$INFLUXDB" || influxdb ;;
    esac
done
