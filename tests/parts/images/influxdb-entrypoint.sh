#!/usr/bin/env bash
# Entry point of the stand-in for the official influxdb 2 image.
#
# Runs influxd as the user `influxdb`. With DOCKER_INFLUXDB_INIT_MODE=setup, and
# only while the data folder is empty, it first makes user, organisation, bucket
# and token from DOCKER_INFLUXDB_INIT_{USERNAME,PASSWORD,ORG,BUCKET,RETENTION,
# ADMIN_TOKEN}. As with the official image nobody can reach the server before
# that is done: it is set up on another port, on loopback. Any other command is
# run as it stands.
set -euo pipefail

[[ ${1:-} == influxd ]] || exec "$@"

if ((EUID == 0)); then
    chown -R influxdb:influxdb /var/lib/influxdb2 /etc/influxdb2
    exec setpriv --reuid influxdb --regid influxdb --init-groups "$0" "$@"
fi

# json TEXT: as a JSON string.
json() {
    local text="${1//\\/\\\\}"
    printf '"%s"' "${text//\"/\\\"}"
}

# seconds DURATION: 45d, 2w, 12h, 1d12h ... as seconds; nothing and 0 are for ever.
seconds() {
    local rest="${1:-0}" total=0
    local -A unit=([s]=1 [m]=60 [h]=3600 [d]=86400 [w]=604800)
    while [[ $rest =~ ^([0-9]+)([smhdw])(.*)$ ]]; do
        total=$((total + 10#${BASH_REMATCH[1]} * ${unit[${BASH_REMATCH[2]}]}))
        rest="${BASH_REMATCH[3]}"
    done
    if [[ -n $rest && $rest != 0 ]]; then
        echo "DOCKER_INFLUXDB_INIT_RETENTION=$1: expected a duration such as 45d" >&2
        exit 1
    fi
    echo "$total"
}

setup() {
    local pid url=http://127.0.0.1:9999 body name
    for name in USERNAME PASSWORD ORG BUCKET; do
        name="DOCKER_INFLUXDB_INIT_$name"
        [[ -n ${!name:-} ]] || {
            echo "$name is needed to set InfluxDB up" >&2
            exit 1
        }
    done
    body="{\"username\": $(json "$DOCKER_INFLUXDB_INIT_USERNAME"),
        \"password\": $(json "$DOCKER_INFLUXDB_INIT_PASSWORD"),
        \"org\": $(json "$DOCKER_INFLUXDB_INIT_ORG"),
        \"bucket\": $(json "$DOCKER_INFLUXDB_INIT_BUCKET"),
        \"retentionPeriodSeconds\": $(seconds "${DOCKER_INFLUXDB_INIT_RETENTION:-}")"
    if [[ -n ${DOCKER_INFLUXDB_INIT_ADMIN_TOKEN:-} ]]; then
        body+=", \"token\": $(json "$DOCKER_INFLUXDB_INIT_ADMIN_TOKEN")"
    fi
    body+="}"

    # A half-made database would be taken for a whole one at the next start.
    trap 'rm -rf /var/lib/influxdb2/*' EXIT
    influxd --http-bind-address 127.0.0.1:9999 &
    pid=$!
    trap 'kill -TERM "$pid" 2>/dev/null || true; wait "$pid" || true; exit 143' TERM INT
    until curl -fsS -o /dev/null "$url/health" 2>/dev/null; do
        kill -0 "$pid" || exit 1
        sleep 0.1
    done
    curl -fsS -o /dev/null -H 'Content-Type: application/json' --data-binary @- "$url/api/v2/setup" <<<"$body"
    kill -TERM "$pid"
    wait "$pid" || true
    trap - EXIT TERM INT
}

if [[ -n ${DOCKER_INFLUXDB_INIT_MODE:-} && ! -e $INFLUXD_BOLT_PATH ]]; then
    if [[ $DOCKER_INFLUXDB_INIT_MODE != setup ]]; then
        echo "DOCKER_INFLUXDB_INIT_MODE=$DOCKER_INFLUXDB_INIT_MODE: only 'setup' is known here" >&2
        exit 1
    fi
    setup
fi
exec "$@"
