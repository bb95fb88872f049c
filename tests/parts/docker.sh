#!/usr/bin/env bash
# Makes a Docker engine and `docker compose` available.
#
#   eval "$(docker.sh up)"    an engine that answers and a client that can
#                             build and compose; prints the variables to export
#   docker.sh status          says which engine would be used; exits 1 if none
#   docker.sh down            stops the engine that `up` started, and no other
#   docker.sh --help
#
# An engine that answers already (DOCKER_HOST, the current context, the usual
# socket) is used as it is. Otherwise Debian's docker.io is installed and a
# daemon of our own is started, as root, with its socket, data and pid file
# under the cache: it shares nothing with an engine of the machine.
#
# Where the client has no `compose` (v2) or `buildx`, both are built once from
# their published Go modules (see docker/go.mod) and found through a
# DOCKER_CONFIG folder of our own.
#
# The cache is ${TAILGAUGE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tailgauge}.

# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

ROOT="$PARTS_CACHE/docker"
SOCKET="$ROOT/run/docker.sock"
PID_FILE="$ROOT/run/dockerd.pid"
LOG_FILE="$ROOT/run/dockerd.log"
CONFIG="$ROOT/config"

# answers [HOST]: does the engine at HOST (default: as the client is set up) answer?
answers() {
    command -v docker >/dev/null || return 1
    if (($#)); then
        DOCKER_HOST="$1" timeout 10 docker version --format '{{.Server.Version}}' >/dev/null 2>&1
    else
        timeout 10 docker version --format '{{.Server.Version}}' >/dev/null 2>&1
    fi
}

# our_pid: the pid of our daemon, if it runs. A pid file alone proves nothing:
# the number may belong to someone else by now.
our_pid() {
    local pid
    [[ -s $PID_FILE ]] || return 1
    pid="$(<"$PID_FILE")"
    [[ -r /proc/$pid/cmdline ]] || return 1
    tr '\0' '\n' <"/proc/$pid/cmdline" | grep -qxF -- "--pidfile=$PID_FILE" || return 1
    printf '%s\n' "$pid"
}

start_engine() {
    need_root "a Docker engine of our own"
    # The kernel takes no longer socket path than 107 bytes.
    ((${#ROOT} < 70)) || die "the cache folder's path is too long for a socket: $ROOT"
    mkdir -p "$ROOT/run" "$ROOT/data" "$ROOT/exec"
    rm -f "$PID_FILE" "$SOCKET"
    detached "$LOG_FILE" dockerd --host="unix://$SOCKET" --pidfile="$PID_FILE" \
        --data-root="$ROOT/data" --exec-root="$ROOT/exec"
    if ! wait_for 60 answers "unix://$SOCKET"; then
        tail -n 30 "$LOG_FILE"
        # It is our own child, whether or not it got as far as its pid file.
        stop_pid "$DETACHED_PID"
        die "the Docker engine did not start; its log is $LOG_FILE"
    fi
}

# plugin NAME PACKAGE VERSION_VARIABLE: build a plugin of the client into our
# DOCKER_CONFIG.
plugin() {
    local name="$1" package="$2" variable="$3" module version
    command -v go >/dev/null || die "building docker $name needs Go"
    module="${package%/cmd*}"
    version="$(awk -v m="$module" '$1 == m { print $2 } $2 == m { print $3 }' "$PARTS_DIR/docker/go.mod")"
    CGO_ENABLED=0 GOWORK=off nice go build -C "$PARTS_DIR/docker" -mod=readonly -trimpath \
        -ldflags "-s -w -X $variable=$version" -o "$CONFIG/cli-plugins/.docker-$name.new" "$package"
    mv "$CONFIG/cli-plugins/.docker-$name.new" "$CONFIG/cli-plugins/docker-$name"
}

# client_can: does the client, set up as DOCKER_CONFIG says, compose and build?
client_can() {
    docker compose version --short 2>/dev/null | grep -Eq '^v?[2-9]' && docker buildx version >/dev/null 2>&1
}

up() {
    apt_provide docker=docker.io

    local host="${DOCKER_HOST:-}"
    if answers; then
        say "using the engine that answers already"
    else
        host="unix://$SOCKET"
        if ! answers "$host"; then
            lock docker
            apt_provide dockerd=docker.io iptables=iptables
            answers "$host" || step "start a Docker engine of our own" start_engine
        fi
    fi

    local config="${DOCKER_CONFIG:-}"
    if ! client_can; then
        config="$CONFIG"
        if [[ ! -x $CONFIG/cli-plugins/docker-buildx || ! -x $CONFIG/cli-plugins/docker-compose ]]; then
            lock docker-plugins
            mkdir -p "$CONFIG/cli-plugins"
            [[ -x $CONFIG/cli-plugins/docker-compose ]] ||
                step "build docker compose" plugin compose github.com/docker/compose/v2/cmd \
                    github.com/docker/compose/v2/internal.Version
            [[ -x $CONFIG/cli-plugins/docker-buildx ]] ||
                step "build docker buildx" plugin buildx github.com/docker/buildx/cmd/buildx \
                    github.com/docker/buildx/version.Version
        fi
        # With another DOCKER_CONFIG the client forgets its contexts.
        [[ -n $host ]] || host="$(docker context inspect --format '{{.Endpoints.docker.Host}}')"
        DOCKER_CONFIG="$CONFIG" client_can || die "docker compose does not work with the client $(command -v docker)"
    fi

    [[ -z $host ]] || printf 'export DOCKER_HOST=%q\n' "$host"
    [[ -z $config ]] || printf 'export DOCKER_CONFIG=%q\n' "$config"
}

status() {
    if answers; then
        say "an engine answers: ${DOCKER_HOST:-$(docker context inspect --format '{{.Endpoints.docker.Host}}')}"
    elif answers "unix://$SOCKET"; then
        say "our own engine answers: unix://$SOCKET (pid $(our_pid))"
    else
        say "no engine answers"
        return 1
    fi
}

down() {
    local pid
    lock docker
    if ! pid="$(our_pid)"; then
        say "no engine of ours runs"
        return
    fi
    # It stops its containers first and then itself.
    step "stop our Docker engine (pid $pid)" stop_pid "$pid" 60
    rm -f "$PID_FILE" "$SOCKET"
}

case "${1:-}" in
    up | status | down) "$1" ;;
    -h | --help) usage ;;
    *) die "expected up, status or down (see --help)" ;;
esac
