# shellcheck shell=bash
# How start.sh runs what it runs: so that a stop, at any moment, reaches all of it. Sourced, never run.

# run COMMAND...: waits for it. It is a job with a process group of its own: a Ctrl-C for us is not also one for
# the command, and `stop_current` reaches its children too. (A function runs as well, in a subshell.)
CURRENT=
run() {
    local status=0
    set -m
    "$@" </dev/null &
    CURRENT=$!
    set +m
    wait "$CURRENT" || status=$?
    CURRENT=
    return "$status"
}

# stop_current: ends what `run` waits for, children included, and waits for it.
stop_current() {
    [[ -n $CURRENT ]] || return 0
    kill -TERM -- "-$CURRENT" 2>/dev/null || true
    wait "$CURRENT" 2>/dev/null || true
    wait_for 15 no_group "$CURRENT" || kill -KILL -- "-$CURRENT" 2>/dev/null || true
    CURRENT=
}

no_group() {
    ! kill -0 -- "-$1" 2>/dev/null
}

# timed NAME COMMAND...: `run`, with the time it took.
timed() {
    local name="$1" begin="$EPOCHREALTIME" status=0 took
    shift
    printf -- '--- %s\n' "$name"
    run "$@" || status=$?
    took="$(awk -v a="$begin" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }')"
    if ((status == 0)); then
        printf -- '--- %s: %s s\n' "$name" "$took"
    else
        printf -- '--- %s: FAILED with %s after %s s\n' "$name" "$status" "$took"
    fi
    return "$status"
}
