#!/usr/bin/env bash
# Tailgauge: statistics per customer from the access log that your API writes.
#
#   ./start.sh [demo]  see it work: a generator writes a log, the processor follows it, the api
#                      answers; until Ctrl-C, which stops everything
#   ./start.sh up      the same in the background
#   ./start.sh status  what runs, and where every line is
#   ./start.sh stop    stop what `up` (or a demo elsewhere) started; the data stay
#   ./start.sh clean   remove the demo's data, asking first; nothing else is ever removed
#   ./start.sh test    prepare what the tests need and run them all
#
# For demo and up (without a choice: containers if a Docker engine answers, else native):
#   --native      the programs themselves, with the embedded store: only Rust is needed
#   --influxdb    the programs themselves, with a real InfluxDB 2: that of INFLUXDB_URL, else one of
#                 the demo's own (found, or built once, which takes Go and some minutes)
#   --docker      docker compose: generator, processor, InfluxDB and api in containers
#   --fresh       begin with empty data (asks first)
#   --slow        one line a second, each shown on its way
# For demo, up and clean:
#   --yes         ask nothing
# For test:
#   --all         what cannot be run is a failure, not left out (so it is with CI=true)
#
# Settings are those of .env.local; a variable of the environment goes before a line there
# (API_BIND=127.0.0.1:9000 ./start.sh). The demo's log and state are in data/.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
# shellcheck source=tests/parts/lib.sh
source tests/parts/lib.sh
# shellcheck source=scripts/run.sh
source scripts/run.sh

misuse() {
    say "error: $* (see ./start.sh --help)"
    exit 2
}

COMMAND=demo
if [[ ${1:-} != -* && -n ${1:-} ]]; then
    COMMAND="$1"
    shift
fi
STORE_CHOICE='' FRESH='' SLOW='' YES='' ALL=''
for argument in "$@"; do
    case "$COMMAND $argument" in
        demo\ --native | up\ --native | demo\ --influxdb | up\ --influxdb | demo\ --docker | up\ --docker)
            [[ -z $STORE_CHOICE ]] || misuse "--$STORE_CHOICE and $argument: choose one"
            STORE_CHOICE="${argument#--}"
            ;;
        demo\ --fresh | up\ --fresh) FRESH=yes ;;
        demo\ --slow | up\ --slow) SLOW=yes ;;
        demo\ --yes | up\ --yes | clean\ --yes) YES=yes ;;
        test\ --all) ALL=yes ;;
        *\ -h | *\ --help) COMMAND=help ;;
        *) misuse "'$COMMAND' does not know '$argument'" ;;
    esac
done
export STORE_CHOICE FRESH SLOW YES ALL

case "$COMMAND" in
    demo | up | status | stop | clean)
        # shellcheck source=scripts/demo.sh
        source scripts/demo.sh
        "$COMMAND"
        ;;
    test)
        # shellcheck source=scripts/test.sh
        source scripts/test.sh
        run_tests
        ;;
    help) usage ;;
    *) misuse "there is no '$COMMAND'" ;;
esac
