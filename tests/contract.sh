#!/usr/bin/env bash
# The api against its own description: schemathesis makes requests out of /openapi.json, right ones and wrong ones, and
# looks whether every answer is one that the description allows, and none a 5xx.
#
#   tests/contract.sh                 as CI does: some 1,500 requests, about a minute
#   EXAMPLES=500 tests/contract.sh    a long campaign: an hour
#   SEED=7 tests/contract.sh          other requests than those of seed 1
#   PROGRAMS=target/debug tests/contract.sh    with programs that are built already
#
# The live streams are left out, since they do not end. `positive_data_acceptance` is left out, since a description of
# types cannot say which dates are before which, or what is kept long enough to be told exactly (422 otherwise).

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
case "${1:-}" in
    '') ;;
    *) awk 'NR > 1 { if (!/^#/) exit; sub(/^# ?/, ""); print }' "$0" && exit ;;
esac
st="$(tests/parts/schemathesis.sh)"
if [[ -z ${PROGRAMS:-} ]]; then
    cargo build --release --locked --quiet -p log-generator -p log-processor -p api
    PROGRAMS="${CARGO_TARGET_DIR:-target}/release"
fi
bin="$(cd "$PROGRAMS" && pwd)"
folder="$(mktemp -d)"
api=''
# shellcheck disable=SC2317 # the trap calls it
end() {
    [[ -z $api ]] || kill "$api" 2>/dev/null || true
    rm -rf "$folder"
}
trap end EXIT

# None of the settings of the surroundings.
clean() {
    env -i ENV_FILE= PATH="$PATH" STATE_DIR="$folder" LOG_FILE_PATH="$folder/api.log" "$@"
}
clean LOG_BACKFILL_DAYS=2 LOG_BATCH_SIZE=1000 LOG_INTERVAL_SECONDS=0 MAX_LOGS_TO_GENERATE=20000 "$bin/log-generator" 2>/dev/null
clean "$bin/log-processor" --once 2>/dev/null
# The process itself, not a shell around it: it is ended by its number.
env -i ENV_FILE= PATH="$PATH" STATE_DIR="$folder" API_BIND=127.0.0.1:0 API_SHARE_SECRET=of-a-test-and-known-to-everybody-here \
    "$bin/api" >"$folder/out" 2>"$folder/log" &
api=$!
for _ in $(seq 100); do
    address="$(sed -n 's/^listening on //p' "$folder/out")"
    [[ -z $address ]] || break
    sleep 0.1
done
[[ -n $address ]] || {
    cat "$folder/log"
    exit 1
}
status=0
# What it remembers it writes to the folder where it is.
cd "$folder"
timeout 5400 "$st" run "$address/openapi.json" --exclude-path-regex 'live$' --exclude-checks positive_data_acceptance \
    --phases examples,coverage,fuzzing --max-examples "${EXAMPLES:-15}" --seed "${SEED:-1}" --continue-on-failure \
    --generation-database none --suppress-health-check all --warnings off --no-color || status=$?
if grep -E ' ERROR ' "$folder/log"; then
    echo 'the api logged errors' >&2
    status=1
fi
exit "$status"
