# shellcheck shell=bash
# What the scripts of this folder share. Sourced, never run.
#
# Every script writes what it does, with the time it took, to stderr; stdout
# carries only the answer (a path, or lines to eval), so a caller can use it.

set -euo pipefail

# Expensive results live outside the checkout: a clean checkout stays quick.
PARTS_CACHE="${TAILGAUGE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tailgauge}"
PARTS_DIR="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
PARTS_NAME="$(basename "$0" .sh)"
export PARTS_CACHE PARTS_DIR
mkdir -p "$PARTS_CACHE/locks"

say() {
    printf '%s: %s\n' "$PARTS_NAME" "$*" >&2
}

die() {
    say "error: $*"
    exit 1
}

# usage: print the header comment of the script that asks.
usage() {
    awk 'NR > 1 { if (!/^#/) exit; sub(/^# ?/, ""); print }' "$0"
}

# step NAME COMMAND...: run it with stdout sent to stderr, print how long it took.
step() {
    local name="$1" begin="$EPOCHREALTIME" status=0
    shift
    say "$name ..."
    # The command runs in a shell of its own, or `set -e` would be off inside it.
    set +e
    (
        set -e
        "$@"
    ) >&2
    status=$?
    set -e
    local took
    took="$(awk -v a="$begin" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }')"
    if ((status != 0)); then
        say "$name: failed with $status after $took s"
        return "$status"
    fi
    say "$name: done in $took s"
}

# lock NAME: hold a lock until the script ends. What is started to outlive the
# script must be started through `detached`, or it would hold the lock as well.
lock() {
    local fd
    exec {fd}>"$PARTS_CACHE/locks/$1"
    if ! flock --nonblock "$fd"; then
        say "waiting for another run that holds the lock '$1' ..."
        flock --timeout 3600 "$fd" || die "the lock '$1' was not free within an hour"
    fi
    PARTS_LOCKS="${PARTS_LOCKS:-} $fd"
}

# detached LOG COMMAND...: start a program that outlives this script, without
# our locks and away from our terminal; its pid is left in DETACHED_PID.
detached() {
    local log="$1" fd
    shift
    (
        for fd in ${PARTS_LOCKS:-}; do
            exec {fd}>&-
        done
        exec setsid "$@" </dev/null >>"$log" 2>&1
    ) &
    # Read by the caller.
    # shellcheck disable=SC2034
    DETACHED_PID=$!
}

# need_root WHAT: containers and packages are a matter of root here.
need_root() {
    ((EUID == 0)) || die "$1 needs root"
}

# apt_install PACKAGE...: install what is missing. Retries, since another
# program may hold the package lists for a while.
apt_install() {
    local missing=() package
    for package in "$@"; do
        dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed ||
            missing+=("$package")
    done
    ((${#missing[@]} == 0)) && return
    need_root "installing ${missing[*]}"
    (
        lock apt
        export DEBIAN_FRONTEND=noninteractive
        for attempt in 1 2 3 4 5 6; do
            if apt-get update -qq &&
                apt-get -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 install -yqq --no-install-recommends \
                    "${missing[@]}" >/dev/null; then
                exit 0
            fi
            say "apt-get failed (attempt $attempt), trying again in 10 s"
            sleep 10
        done
        exit 1
    ) >&2 || die "could not install ${missing[*]}"
}

# apt_provide COMMAND=PACKAGE...: install the package of each command that is
# not on PATH.
apt_provide() {
    local pair packages=()
    for pair in "$@"; do
        command -v "${pair%%=*}" >/dev/null || packages+=("${pair#*=}")
    done
    ((${#packages[@]} == 0)) || step "install ${packages[*]}" apt_install "${packages[@]}"
}

# wait_for SECONDS COMMAND...: until the command succeeds.
wait_for() {
    local until=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < until)) || return 1
        sleep 0.1
    done
}

# stop_pid PID [SECONDS]: ask the process to end, wait, then insist.
stop_pid() {
    local pid="$1" seconds="${2:-20}"
    kill -TERM "$pid" 2>/dev/null || return 0
    wait_for "$seconds" bash -c "! kill -0 $pid" || kill -KILL "$pid" 2>/dev/null || true
}
