#!/usr/bin/env bash
# Prints the path of a usable InfluxDB 2 server (influxd) on stdout.
#
#   influxd.sh            find one, or build it; print its path
#   influxd.sh --check    the same, and put it through the check below again
#   influxd.sh --help
#
# Looked for in this order: $INFLUXD, an influxd 2.x on PATH, the cache, and
# last a build from the published Go module (see influxd/go.mod), which takes
# some minutes and needs Go, Cargo and a C compiler. A built server is checked
# before it enters the cache: it must start, be set up, take a point and give
# it back.
#
# The cache is ${TAILGAUGE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tailgauge}.

# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# The version in influxd/go.mod is the one place that names it.
VERSION="$(awk '$1 == "github.com/influxdata/influxdb/v2" { print $2 } $2 == "github.com/influxdata/influxdb/v2" { print $3 }' \
    "$PARTS_DIR/influxd/go.mod")"
PKG_CONFIG_VERSION=v0.2.7
HOME_DIR="$PARTS_CACHE/influxd/${VERSION#v}"

# check BINARY: start it on a free port with everything in a temporary folder,
# set it up, write one point, read it back, stop it.
check() {
    local binary="$1" dir pid port url answer
    dir="$(mktemp -d)"
    "$binary" --bolt-path "$dir/bolt" --sqlite-path "$dir/sqlite" --engine-path "$dir/engine" \
        --http-bind-address 127.0.0.1:0 --reporting-disabled >"$dir/log" 2>&1 &
    pid=$!
    # Both are needed after this function is gone.
    # shellcheck disable=SC2064
    trap "stop_pid $pid; rm -rf '$dir'" EXIT

    wait_for 60 grep -q Listening "$dir/log" || {
        cat "$dir/log"
        die "influxd did not start"
    }
    port="$(grep 'Listening' "$dir/log" | grep -oE 'port"?[=:] ?[0-9]+' | grep -oE '[0-9]+$' | head -n 1)"
    url="http://127.0.0.1:$port"
    wait_for 30 curl -fsS "$url/health" || die "/health did not answer"
    curl -fsS -o /dev/null "$url/api/v2/setup" -H 'Content-Type: application/json' -d '{
        "username": "check", "password": "check-password", "org": "check",
        "bucket": "check", "token": "check-token" }'
    curl -fsS "$url/api/v2/write?org=check&bucket=check&precision=s" \
        -H 'Authorization: Token check-token' --data-binary "checked value=42i $(date +%s)"
    answer="$(curl -fsS "$url/api/v2/query?org=check" -H 'Authorization: Token check-token' \
        -H 'Content-Type: application/vnd.flux' -H 'Accept: application/csv' \
        -d 'from(bucket: "check") |> range(start: -1h) |> filter(fn: (r) => r._measurement == "checked")')"
    grep -q ',42,' <<<"$answer" || die "the point written did not come back: $answer"
}

# build INTO: the server and its Rust part (Flux), with pinned sums.
build() {
    local into="$1" tools="$PARTS_CACHE/influxd/pkg-config-$PKG_CONFIG_VERSION"
    command -v go >/dev/null || die "building influxd needs Go (or set INFLUXD)"
    command -v cargo >/dev/null || die "building influxd needs Cargo (or set INFLUXD)"

    # Flux asks `pkg-config` where its Rust half is; this one builds it on the
    # way and hands other questions on to the next pkg-config on PATH.
    if [[ ! -x $tools/pkg-config ]]; then
        GOBIN="$tools" go install "github.com/influxdata/pkg-config@$PKG_CONFIG_VERSION"
    fi
    export PATH="$tools:$PATH"
    # Flux pins a Rust toolchain of its own, which rustup would try to fetch.
    if [[ -z ${RUSTUP_TOOLCHAIN:-} ]] && command -v rustup >/dev/null; then
        RUSTUP_TOOLCHAIN="$(cd / && rustup show active-toolchain | cut -d ' ' -f 1)"
        export RUSTUP_TOOLCHAIN
    fi
    # -C: the module's own folder, so go.mod and go.sum there decide.
    CGO_ENABLED=1 GOWORK=off nice go build -C "$PARTS_DIR/influxd" -mod=readonly -trimpath \
        -tags sqlite_foreign_keys,sqlite_json \
        -ldflags "-s -w -X main.version=$VERSION" \
        -o "$into" github.com/influxdata/influxdb/v2/cmd/influxd
}

found=
if [[ -n ${INFLUXD:-} ]]; then
    [[ -x $INFLUXD ]] || die "INFLUXD=$INFLUXD is not an executable file"
    found="$INFLUXD"
elif command -v influxd >/dev/null && influxd version 2>/dev/null | grep -q 'InfluxDB v\?2'; then
    found="$(command -v influxd)"
fi

check_wanted=
case "${1:-}" in
    '') ;;
    --check) check_wanted=yes ;;
    -h | --help) usage && exit ;;
    *) die "unknown argument '$1' (see --help)" ;;
esac

if [[ -z $found ]]; then
    found="$HOME_DIR/influxd"
    if [[ ! -x $found ]]; then
        lock influxd
    fi
    if [[ ! -x $found ]]; then
        apt_provide gcc=gcc pkg-config=pkg-config curl=curl
        [[ -e /usr/include/stdio.h ]] || step "install libc6-dev" apt_install libc6-dev
        mkdir -p "$HOME_DIR"
        step "build influxd $VERSION" build "$HOME_DIR/influxd.new"
        step "check influxd $VERSION" check "$HOME_DIR/influxd.new"
        mv "$HOME_DIR/influxd.new" "$found"
        check_wanted=
    fi
fi
if [[ -n $check_wanted ]]; then
    apt_provide curl=curl
    step "check $found" check "$found"
fi
printf '%s\n' "$found"
