# shellcheck shell=bash
# demo, up, status, stop and clean of start.sh. Sourced, never run.
#
# One demo at a time. What it writes is in data/ (with an InfluxDB: data/influxdb/), and nothing is removed
# there but the files listed in `own_files`, and only when the folder has the mark that a demo made it. Each
# program has a pid file and a log in data/run/.

RUN=data/run
MARK=data/.demo
BIN="${CARGO_TARGET_DIR:-target}/release"
# Those that write first are stopped first.
PROGRAMS=(log-generator log-processor api influxd)
# Statistics stand within seconds; the rest is for slow machines and image pulls.
PATIENCE_SECONDS=120

demo() {
    local begun=$SECONDS
    refuse_a_second
    watch_signals
    start
    CODE_WHEN_STOPPED=0
    printf '\nCtrl-C stops everything (%s s since the start).\n\n' "$((SECONDS - begun))"
    follow
}

up() {
    refuse_a_second
    watch_signals
    start
    trap - INT TERM HUP EXIT
    printf '\nIt runs on in the background: ./start.sh status, ./start.sh stop\n'
}

# --- starting ------------------------------------------------------------------------------------------------

# watch_signals: from now on, however this ends, what was started is stopped.
CODE_WHEN_STOPPED=130
watch_signals() {
    trap 'finish "$CODE_WHEN_STOPPED"' INT TERM HUP
    trap 'finish $?' EXIT
}

# refuse_a_second: before anything is started that would be stopped again.
refuse_a_second() {
    ! is_running || die "it runs already: ./start.sh status, or ./start.sh stop first"
}

start() {
    choose
    [[ -z $FRESH ]] || fresh
    if [[ ! -e $MARK && ! -e data/api_requests.log && ! -e data/ledger.db ]]; then
        mkdir -p data
        printf 'The demo made this folder: ./start.sh clean removes what it wrote.\n' >"$MARK"
    fi
    mkdir -p "$RUN"
    printf '%s\n' "$MODE" >"$RUN/mode"
    rm -f "$RUN/slow.env"
    if [[ -n $SLOW ]]; then
        export LOG_BATCH_SIZE=1 LOG_INTERVAL_SECONDS=1
        printf 'LOG_BATCH_SIZE=1\nLOG_INTERVAL_SECONDS=1\n' >"$RUN/slow.env"
    fi
    if [[ $MODE == docker ]]; then start_containers; else start_programs; fi
    show
}

# choose: MODE is native, influxdb or docker; says which and why.
choose() {
    MODE="$STORE_CHOICE"
    case "$MODE" in
        native) printf 'Native programs with the embedded store, as asked.\n' ;;
        influxdb) printf 'Native programs with an InfluxDB, as asked.\n' ;;
        docker) printf 'Containers, as asked.\n' ;;
        *)
            local why
            if why="$(no_engine)"; then
                MODE=native
                printf 'Native programs with the embedded store: %s (--docker, --influxdb choose otherwise).\n' "$why"
            else
                MODE=docker
                printf 'Containers: a Docker engine answers (--native, --influxdb choose otherwise).\n'
            fi
            ;;
    esac
    [[ $MODE == influxdb || -z ${INFLUXDB_URL:-} ]] ||
        printf 'INFLUXDB_URL is not used by this; --influxdb would.\n'
}

# no_engine: says why containers cannot be had; fails when they can.
no_engine() {
    if ! command -v docker >/dev/null; then
        printf 'no docker here'
    elif ! timeout 10 docker version >/dev/null 2>&1; then
        printf 'no Docker engine answers'
    elif ! docker compose version >/dev/null 2>&1; then
        printf 'docker has no compose'
    else
        return 1
    fi
}

start_programs() {
    local folder=data
    build
    if [[ $MODE == influxdb ]]; then
        folder=data/influxdb
        mkdir -p "$folder"
        start_influxdb
        export STORE=influxdb
    else
        export STORE=embedded INFLUXDB_URL=
    fi
    # Never another log than the demo's own: the generator writes to it.
    export LOG_FILE_PATH="$folder/api_requests.log" STATE_DIR="$folder"
    METRICS_BIND="$(free_address log-processor METRICS_BIND)"
    API_BIND="$(free_address api API_BIND)"
    export METRICS_BIND API_BIND
    launch log-processor "$BIN/log-processor"
    launch api "$BIN/api"
    launch log-generator "$BIN/log-generator"
    await "the api listens" api_listens
    await "statistics stand" statistics_stand
}

build() {
    local missing='' name
    if command -v cargo >/dev/null; then
        printf 'Building what is missing (the first time takes some minutes) ...\n'
        run cargo build --release --locked -p log-generator -p log-processor -p api || die "the build failed"
        return
    fi
    for name in log-generator log-processor api; do
        [[ -x $BIN/$name ]] || missing=yes
    done
    [[ -z $missing ]] || die "Rust is needed to build the programs: https://rustup.rs"
}

# launch NAME COMMAND...: in the background, with pid file and log.
launch() {
    local name="$1" signalled=''
    shift
    : >"$RUN/$name.log"
    # A program that was started and has no pid file yet would not be stopped.
    trap 'signalled=yes' INT TERM HUP
    detached "$RUN/$name.log" "$@"
    printf '%s\n' "$DETACHED_PID" >"$RUN/$name.pid"
    # Until then it is a copy of this shell, which `pid_of` does not take for the program.
    until pid_of "$name" >/dev/null || ! kill -0 "$DETACHED_PID" 2>/dev/null; do
        pause 0.02
    done
    watch_signals
    [[ -z $signalled ]] || finish "$CODE_WHEN_STOPPED"
}

# free_address PROGRAM NAME: the setting's value, with a free port if that one is taken.
free_address() {
    local address host port
    address="$("$BIN/$1" --print-config | sed -n "s/^$2=\([^ ]*\).*/\1/p")"
    host="${address%:*}" port="${address##*:}"
    if [[ $port != 0 && $address == *:* ]] && (exec 3<>"/dev/tcp/$(reachable "$host")/$port") 2>/dev/null; then
        printf '%s=%s is taken by another program: a free port is used instead.\n' "$2" "$address" >&2
        port=0
    fi
    [[ $address == *:* ]] && address="$host:$port"
    printf '%s\n' "$address"
}

# reachable HOST: where to ask what listens on HOST.
reachable() {
    case "$1" in
        0.0.0.0 | localhost) printf '127.0.0.1' ;;
        '[::]') printf '::1' ;;
        *) printf '%s' "$1" | tr -d '[]' ;;
    esac
}

start_influxdb() {
    if [[ -n ${INFLUXDB_URL:-} ]]; then
        printf 'InfluxDB: %s (organization, bucket and token as in .env.local or the environment).\n' "$INFLUXDB_URL"
        return
    fi
    local files=data/influxdb/influxd port=8086
    # The path is the last line of what it prints.
    run tests/parts/influxd.sh >"$RUN/influxd.path" || die "no InfluxDB 2 is to be had; see above"
    ! (exec 3<>/dev/tcp/127.0.0.1/8086) 2>/dev/null || port=0
    mkdir -p "$files"
    launch influxd "$(<"$RUN/influxd.path")" --bolt-path "$files/bolt" --sqlite-path "$files/sqlite" \
        --engine-path "$files/engine" --http-bind-address "127.0.0.1:$port" --reporting-disabled
    await "InfluxDB listens" influxd_listens
    INFLUXDB_URL="http://127.0.0.1:$(influxd_listens)"
    export INFLUXDB_URL
    await "InfluxDB is healthy" curl -fsS "$INFLUXDB_URL/health"
    if curl -fsS "$INFLUXDB_URL/api/v2/setup" | grep -q '"allowed": *true'; then
        curl -fsS -o /dev/null "$INFLUXDB_URL/api/v2/setup" -H 'Content-Type: application/json' -d "{
            \"username\": \"$(setting DOCKER_INFLUXDB_INIT_USERNAME)\",
            \"password\": \"$(setting DOCKER_INFLUXDB_INIT_PASSWORD)\",
            \"org\": \"$(setting DOCKER_INFLUXDB_INIT_ORG)\",
            \"bucket\": \"$(setting DOCKER_INFLUXDB_INIT_BUCKET)\",
            \"token\": \"$(setting DOCKER_INFLUXDB_INIT_ADMIN_TOKEN)\" }" || die "InfluxDB could not be set up"
    fi
    printf 'InfluxDB: %s, one of the demo'"'"'s own.\n' "$INFLUXDB_URL"
}

influxd_listens() {
    sed -n 's/.*Listening.*port=\([0-9]*\).*/\1/p' "$RUN/influxd.log" | head -n 1 | grep .
}

# setting NAME: from the environment, else from .env.local.
setting() {
    local value="${!1:-}"
    [[ -n $value ]] || value="$(sed -n "s/^$1=//p" .env.local | tail -n 1)"
    printf '%s\n' "$value"
}

start_containers() {
    prepare_engine
    run tests/parts/images.sh || die "a base image is missing; see above"
    use_free_ports
    [[ -z $SLOW ]] || export TAILGAUGE_ENV_FILE="$RUN/slow.env"
    printf 'Building the image and starting the containers (the first time takes some minutes) ...\n'
    run docker compose up --build --wait || die "the containers did not come up; docker compose logs tells more"
    ADDRESS="$(docker compose port api 8000)"
    await "statistics stand" statistics_stand
}

# prepare_engine: if there is none, one of our own, to be stopped again by `leave_engine`. That it was used is
# remembered: the volumes are in it.
prepare_engine() {
    local why
    why="$(no_engine)" || return 0
    printf 'Preparing a Docker engine, since %s.\n' "$why"
    tests/parts/docker.sh status 2>/dev/null || touch "$RUN/engine-of-ours" "$RUN/engine-of-ours.used"
    run tests/parts/docker.sh up >"$RUN/docker.env" || die "no Docker engine is to be had; see above"
    use_engine
}

leave_engine() {
    [[ ! -e $RUN/engine-of-ours ]] || tests/parts/docker.sh down
    rm -f "$RUN/docker.env" "$RUN/engine-of-ours"
}

# use_engine: the engine that was prepared for the demo, if one was.
use_engine() {
    # shellcheck source=/dev/null
    [[ ! -e $RUN/docker.env ]] || source "$RUN/docker.env"
}

# use_free_ports: what the containers publish on this host; 0 takes a free one.
use_free_ports() {
    local pair name port
    for pair in API_PORT=8000 INFLUXDB_PORT=8086; do
        name="${pair%=*}" port="${pair#*=}"
        port="${!name:-$port}"
        if [[ $port != 0 ]] && (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            printf 'Port %s is taken by another program: a free one is used for %s.\n' "$port" "$name"
            port=0
        fi
        export "$name=$port"
    done
}

# await WHAT COMMAND...: until it succeeds, as long as our programs live.
await() {
    local what="$1" until=$((SECONDS + PATIENCE_SECONDS))
    shift
    until "$@" >/dev/null 2>&1; do
        check_alive
        ((SECONDS < until)) || die "waited $PATIENCE_SECONDS s in vain until $what; the programs' logs are in $RUN/"
        pause 0.1
    done
}

api_listens() {
    local address
    address="$(sed -n 's|^listening on http://||p' "$RUN/api.log" | head -n 1)"
    [[ -n $address ]] || return 1
    ADDRESS="$(reachable "${address%:*}"):${address##*:}"
}

# statistics_stand: today's requests are in, so the history that the generator writes before them is as well; and
# the answer knows how fresh it is.
statistics_stand() {
    get "/customers/stats?from_date=$(date -u +%F)" >/dev/null || return 1
    CUSTOMER="$(get '/customers?limit=1' | sed -n 's/.*"customer_id":"\([^"]*\)".*/\1/p')"
    ANSWER="$(get "$(example)")"
    [[ $ANSWER == *'"as_of":"'* ]]
}

example() {
    printf '/customers/%s/stats?from_date=%s' "$CUSTOMER" "$(date -u -d '7 days ago' +%F)"
}

# get PATH: what the api answers; fails unless it is a 200. (Without curl, which need not be there.)
get() (
    exec 3<>"/dev/tcp/${ADDRESS%:*}/${ADDRESS##*:}" || exit 1
    printf 'GET %s HTTP/1.0\r\nHost: %s\r\n\r\n' "$1" "$ADDRESS" >&3
    IFS= read -r status <&3 && [[ $status == *' 200 '* ]] || exit 1
    sed '1,/^\r*$/d' <&3
)

show() {
    printf '\nStatistics stand.\n\n'
    printf '  dashboard  http://%s/\n  api docs   http://%s/docs\n' "$ADDRESS" "$ADDRESS"
    case "$MODE" in
        docker) printf '  InfluxDB   http://%s\n' "$(docker compose port influx_db 8086)" ;;
        influxdb) printf '  InfluxDB   %s\n  the log    %s\n' "$INFLUXDB_URL" "$LOG_FILE_PATH" ;;
        native) printf '  the log    %s\n' "$LOG_FILE_PATH" ;;
    esac
    # The answer as it is, with line ends so that it can be read.
    printf '\n  $ curl "http://%s%s"\n%s\n' "$ADDRESS" "$(example)" \
        "$(sed 's/,"customer_id"/,\n "customer_id"/; s/,"daily":\[/,\n "daily":[\n  /; s/},{/},\n  {/g' <<<"$ANSWER" | sed 's/^/  /')"
}

# --- while it runs -------------------------------------------------------------------------------------------

# follow: one line every few seconds (overwritten on a terminal), until a signal.
follow() {
    local every=30
    [[ ! -t 1 ]] || every=3
    [[ -z $SLOW ]] || every=1
    while check_alive; do
        if [[ -n $SLOW ]]; then trace; elif [[ -t 1 ]]; then printf '\r\e[K%s' "$(account)"; else account; fi
        pause "$every"
    done
}

# pause SECONDS: can be interrupted by a signal at once, unlike a plain sleep.
pause() {
    sleep "$1" &
    wait $! || true
}

# processor_status: the processor's status as JSON.
processor_status() {
    if [[ $MODE == docker ]]; then
        docker compose exec -T log_processor log-processor status --json
    else
        "$BIN/log-processor" status --json
    fi
}

# account: where every line is.
account() {
    local status
    status="$(processor_status 2>/dev/null)" || status=''
    if [[ -z $status ]]; then
        printf '%s  the processor does not answer\n' "$(date +%T)"
        return
    fi
    printf '%s  %s lines read = %s stored + %s rejected + %s in flight; the data are %s s old\n' "$(date +%T)" \
        "$(field lines_read)" "$(field lines_stored)" "$(field lines_rejected)" "$(field lines_in_flight)" \
        "$(field lag_seconds)"
}

# field NAME: a number of the JSON in `status`.
field() {
    sed -n "s/.*\"$1\":\([0-9.]*\).*/\1/p" <<<"$status"
}

# trace: the newest line of the log, and what the api says of its customer once the line is in.
trace() {
    local line customer
    if [[ $MODE == docker ]]; then
        # shellcheck disable=SC2016 # the container's variable
        line="$(docker compose exec -T log_generator sh -c 'tail -n 1 "$LOG_FILE_PATH"')"
    else
        line="$(tail -n 1 "$LOG_FILE_PATH")"
    fi
    customer="$(cut -d ' ' -f 3 <<<"$line")"
    printf '%s\n    -> %s: %s\n' "$line" "$customer" \
        "$(get "/customers/$customer/stats?from_date=$(date -u +%F)" |
            sed -n 's/.*"total_requests":\([0-9]*\).*"uptime":\([0-9.]*\).*"p99_latency":\([0-9.]*\).*/\1 requests today, uptime \2 %, p99 \3 s/p')"
}

# pid_of NAME: of a program of ours that runs. A pid file alone proves nothing: the number may be someone else's by now.
pid_of() {
    local pid program
    [[ -s $RUN/$1.pid ]] && pid="$(<"$RUN/$1.pid")" || return 1
    IFS= read -r -d '' program 2>/dev/null <"/proc/$pid/cmdline" || return 1
    [[ ${program##*/} == "$1" ]] || return 1
    printf '%s\n' "$pid"
}

# check_alive: fails loudly when a program of ours has ended that should not.
check_alive() {
    local name
    [[ $MODE != docker ]] || return 0
    for name in "${PROGRAMS[@]}"; do
        if [[ ! -e $RUN/$name.pid ]] || pid_of "$name" >/dev/null; then
            continue
        fi
        # It may write as many lines as it was told to.
        if [[ $name == log-generator ]] && wait "$(<"$RUN/$name.pid")" 2>/dev/null; then
            rm -f "$RUN/$name.pid"
            printf '\nlog-generator has written all its lines.\n'
            continue
        fi
        printf '\n' >&2
        tail -n 15 "$RUN/$name.log" >&2
        die "$name has ended; the above is the end of its log, $RUN/$name.log"
    done
}

is_running() {
    local name
    for name in "${PROGRAMS[@]}"; do
        ! pid_of "$name" >/dev/null || return 0
    done
    [[ -s $RUN/mode && $(<"$RUN/mode") == docker ]] && containers_run
}

containers_run() {
    use_engine
    [[ -n "$(docker compose ps --quiet 2>/dev/null)" ]]
}

status() {
    local name pid
    if ! is_running; then
        printf 'Nothing runs.\n'
        exit 3
    fi
    MODE="$(<"$RUN/mode")"
    if [[ $MODE == docker ]]; then
        docker compose ps
        docker compose exec -T log_processor log-processor status
        return
    fi
    for name in "${PROGRAMS[@]}"; do
        if pid="$(pid_of "$name")"; then
            printf '%-14s runs (pid %s)\n' "$name" "$pid"
        elif [[ -e $RUN/$name.pid ]]; then
            printf '%-14s has ended, see %s\n' "$name" "$RUN/$name.log"
        fi
    done
    ! api_listens || printf '%-14s http://%s\n\n' address "$ADDRESS"
    STATE_DIR="$(state_dir)" "$BIN/log-processor" status
}

state_dir() {
    if [[ $(<"$RUN/mode") == influxdb ]]; then printf 'data/influxdb'; else printf 'data'; fi
}

# --- stopping ------------------------------------------------------------------------------------------------

# finish CODE: whatever has been started is stopped, and waited for. The end of demo, and of an `up` that failed.
finish() {
    local code="$1"
    trap '' INT TERM HUP
    trap - EXIT
    stop_current
    if [[ -d $RUN ]]; then
        stop_all || code=1
    fi
    exit "$code"
}

stop() {
    if ! is_running; then
        printf 'Nothing runs.\n'
        return
    fi
    MODE="$(<"$RUN/mode")"
    stop_all
}

# stop_all: who writes first, then who reads. Each is asked by its pid and waited for.
stop_all() {
    local name pid code failed=0
    if [[ ${MODE:-} == docker ]]; then
        stop_containers
        # In a trap, a plain `return` would give the status of what the signal interrupted.
        return $?
    fi
    for name in "${PROGRAMS[@]}"; do
        if pid="$(pid_of "$name")"; then
            printf '\nStopping %s ...' "$name"
            # The processor has 30 s for what is in flight.
            stop_pid "$pid" 40
            code=0
            # Only a child of ours has an exit code for us.
            wait "$pid" 2>/dev/null || code=$?
            ((code == 0 || code == 127)) || {
                printf ' it ended with %s, see %s' "$code" "$RUN/$name.log"
                failed=1
            }
        fi
        rm -f "$RUN/$name.pid"
    done
    printf '\nStopped; the data stay in data/.\n'
    return "$failed"
}

stop_containers() {
    local code=0
    printf '\nStopping the containers ...\n'
    use_engine
    if docker compose down --remove-orphans; then
        printf 'Stopped; the data stay in the volumes of the project.\n'
    else
        code=1
    fi
    leave_engine
    return "$code"
}

# --- removing ------------------------------------------------------------------------------------------------

clean() {
    ! is_running || die "it runs: ./start.sh stop first"
    trap 'leave_engine' EXIT
    fresh
}

# fresh: removes the demo's data, asking first.
fresh() {
    local files=() volumes=''
    [[ ! -e $RUN/engine-of-ours.used ]] || prepare_engine
    if [[ -e $MARK ]]; then
        mapfile -t files < <(own_files)
    elif [[ -e data ]]; then
        printf 'data/ was not made by a demo, so nothing in it is removed.\n'
    fi
    no_engine >/dev/null || volumes="$(docker compose ps --all --quiet; docker volume ls --quiet --filter label=com.docker.compose.project="${COMPOSE_PROJECT_NAME:-tailgauge}")"
    if ((${#files[@]} == 0)) && [[ -z $volumes ]]; then
        printf 'There are no data of a demo.\n'
        return
    fi
    printf 'To be removed:\n'
    ((${#files[@]} == 0)) || printf '  %s\n' "${files[@]}"
    [[ -z $volumes ]] || printf '  containers and volumes of the compose project\n'
    confirm
    [[ -z $volumes ]] || docker compose down --volumes --remove-orphans
    leave_engine
    ((${#files[@]} == 0)) || rm -rf -- "${files[@]}"
    rmdir data 2>/dev/null || true
}

# own_files: what a demo writes, as far as it is there.
own_files() {
    local path
    for path in data/api_requests.log data/api_requests.log.[0-9]* data/ledger.db data/ledger.db-wal data/ledger.db-shm \
        data/processor.lock data/processor.sock data/influxdb "$RUN" "$MARK"; do
        [[ ! -e $path ]] || printf '%s\n' "$path"
    done
}

confirm() {
    local reply
    [[ -z $YES ]] || return 0
    [[ -t 0 ]] || die "nobody can be asked here: --yes says that it may be removed"
    read -r -p 'Remove it? [y/N] ' reply
    [[ $reply == [yY]* ]] || die "nothing was removed"
}
