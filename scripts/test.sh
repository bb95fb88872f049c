# shellcheck shell=bash
# `test` of start.sh: prepares what the tests need, runs them all, says how long each step took and what was left
# out. Sourced, never run.
#
# What tests/parts can provide is provided: a real InfluxDB 2 (found, or built once), a Docker engine with compose
# (one that answers, or, for root, one of our own, stopped again afterwards), the base images. A group of tests whose
# parts cannot be had is left out by name; with --all or CI=true that is a failure. SYSTEM_TESTS chooses groups
# by hand (native,influxdb,containers,browser,mounts,logrotate), see tests/README.md.

OUTPUT="${CARGO_TARGET_DIR:-target}/test-output.log"
# What was left out: `group: reason` each.
LEFT_OUT=()
# What the test programs are told to skip.
SKIP=()

run_tests() {
    local code=0
    trap 'stop_tests 130' INT TERM HUP
    trap 'stop_tests $?' EXIT
    case "${CI:-}" in '' | 0 | false) ;; *) ALL=yes ;; esac
    command -v cargo >/dev/null || die "Rust is needed: https://rustup.rs"

    # First, since the api's page is built only where Node.js is there.
    choose_groups
    timed "build the programs (release)" cargo build --release --locked -p log-generator -p log-processor -p api
    timed "build the tests" cargo test --workspace --locked --no-run
    SYSTEM_TESTS_BIN="$(cd "${CARGO_TARGET_DIR:-target}/release" && pwd)"
    export SYSTEM_TESTS SYSTEM_TESTS_BIN
    # Those of the store that need a real InfluxDB.
    [[ $SYSTEM_TESTS == *influxdb* ]] || SKIP=(--skip real:: --skip equal:: --skip published:: --skip both:: --skip influxdb::)

    : >"$OUTPUT"
    timed "unit tests and tests of the programs" with_copy \
        cargo test --workspace --locked --no-fail-fast -- "${SKIP[@]}" || code=$?
    timed "whole-system tests ($SYSTEM_TESTS)" with_copy \
        cargo test --workspace --locked --no-fail-fast --test it -- --ignored --test-threads=2 || code=$?
    report "$code" || code=1
    trap - EXIT
    stop_tests "$code"
}

# with_copy COMMAND...: what it prints goes to OUTPUT as well.
with_copy() {
    "$@" 2>&1 | tee -a "$OUTPUT"
}

# choose_groups: SYSTEM_TESTS becomes the groups that can run; the others go to LEFT_OUT.
choose_groups() {
    local asked="${SYSTEM_TESTS:-native,influxdb,containers,browser,mounts,logrotate}" group why
    SYSTEM_TESTS=''
    for group in ${asked//,/ }; do
        why=''
        case "$group" in
            native) ;;
            logrotate) why="$(no_logrotate)" || prepare_logrotate || why="it could not be installed, see above" ;;
            influxdb) why="$(no_influxdb)" || prepare_influxdb || why="it could not be prepared, see above" ;;
            browser) why="$(no_browser)" || prepare_browser || why="they could not be prepared, see above" ;;
            containers) why="$(no_containers)" || prepare_containers || why="they could not be prepared, see above" ;;
            mounts) ((EUID == 0)) || why='mounting a small file system takes root' ;;
            *) misuse "SYSTEM_TESTS: there is no group '$group'" ;;
        esac
        if [[ -z $why ]]; then
            SYSTEM_TESTS+="${SYSTEM_TESTS:+,}$group"
        elif [[ -n $ALL ]]; then
            die "the tests of the group $group were asked for and cannot run: $why"
        else
            LEFT_OUT+=("$group: $why")
        fi
    done
}

# no_influxdb: says why there can be no InfluxDB; fails when there can.
no_influxdb() {
    local built
    built="$(compgen -G "$PARTS_CACHE/influxd/*/influxd" || true)"
    if [[ -n ${INFLUXD:-}$built ]] || command -v influxd >/dev/null || command -v go >/dev/null; then
        return 1
    fi
    printf 'no influxd here, and no Go to build one (INFLUXD=/path/to/influxd names one)'
}

# no_logrotate: says why there can be no logrotate; fails when there can.
no_logrotate() {
    if [[ -x $(PATH="$PATH:/usr/sbin" command -v logrotate) ]] || { ((EUID == 0)) && command -v apt-get >/dev/null; }; then
        return 1
    fi
    printf 'no logrotate here (apt-get install logrotate)'
}

prepare_logrotate() {
    [[ -x $(PATH="$PATH:/usr/sbin" command -v logrotate) ]] || timed "logrotate" apt_install logrotate
}

prepare_influxdb() {
    timed "an InfluxDB" tests/parts/influxd.sh
}

# no_containers: says why there can be no containers; fails when there can.
no_containers() {
    if command -v docker >/dev/null && docker compose version >/dev/null 2>&1 && docker version >/dev/null 2>&1; then
        return 1
    elif ((EUID == 0)) && command -v apt-get >/dev/null && command -v go >/dev/null; then
        return 1
    fi
    printf 'no Docker engine with compose answers (as root on Debian, and with Go, one would be made)'
}

prepare_containers() {
    local variables="$PARTS_CACHE/docker.env"
    tests/parts/docker.sh status 2>/dev/null || ENGINE_STARTED=yes
    ENGINE_ASKED=yes
    timed "a Docker engine" to_file "$variables" tests/parts/docker.sh up || return
    # shellcheck source=/dev/null
    source "$variables"
    timed "the base images" tests/parts/images.sh debian influxdb
}

# no_browser: says why there can be no browser; fails when there can.
no_browser() {
    local name
    if ((EUID == 0)) && command -v apt-get >/dev/null; then
        return 1
    fi
    for name in "${CHROMIUM:-}" chromium chromium-browser google-chrome; do
        if [[ -n $name ]] && command -v "$name" >/dev/null && command -v npm >/dev/null; then
            return 1
        fi
    done
    printf 'no chromium here with Node.js and npm (as root on Debian they would be installed)'
}

prepare_browser() {
    timed "a browser" to_file /dev/null tests/parts/browser.sh || return
    # An api that was built before Node.js was there is built anew, with its page.
    export TAILGAUGE_DASHBOARD=require
}

to_file() {
    local file="$1"
    shift
    "$@" >"$file"
}

# report CODE: the sum of cargo's results, and what was left out. Fails when the sum cannot be trusted.
report() {
    local passed failed skipped
    read -r passed failed < <(sed -n 's/^test result: .* \([0-9]*\) passed; \([0-9]*\) failed.*/\1 \2/p' "$OUTPUT" |
        awk '{ p += $1; f += $2 } END { print p + 0, f + 0 }')
    # A whole-system test that was left out says so, and has passed in cargo's eyes.
    skipped="$(grep -c 'LEFT OUT: ' "$OUTPUT" || true)"
    # A test program that crashed has no result line; it is a failure all the same.
    if (($1 != 0 && failed == 0)); then failed=1; fi
    printf '\n'
    if ((${#LEFT_OUT[@]})); then
        printf 'Left out: the tests of %s\n' "${LEFT_OUT[@]}"
    fi
    printf '%s passed, %s failed\n' "$((passed - skipped))" "$failed"
    ((passed > 0))
}

# stop_tests CODE: nothing that was started for the tests stays.
stop_tests() {
    trap '' INT TERM HUP
    trap - EXIT
    stop_current
    [[ -z ${ENGINE_ASKED:-} ]] || take_down_orphans
    [[ -z ${ENGINE_STARTED:-} ]] || tests/parts/docker.sh down
    exit "$1"
}

# take_down_orphans: containers of test runs that were ended before they could take them down. The number in a
# project's name is the run's pid.
take_down_orphans() {
    local project
    for project in $(docker compose ls --all --quiet 2>/dev/null | grep '^tailgauge-test-[0-9]*$'); do
        kill -0 "${project##*-}" 2>/dev/null && continue
        docker compose --project-name "$project" down --volumes --remove-orphans
        docker image rm "$project:local" 2>/dev/null || true
    done
}
