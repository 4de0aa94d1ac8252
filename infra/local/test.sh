#!/bin/sh
# Runs the checks and every test against an installation of their own, which begins empty and is stopped whatever happens.
# Its servers are native ones or containers (tests/grounds/choice.py). Arguments go to pytest; without any, the tests that
# need no server also run on another Python, beside the others. A running demo is not disturbed: other folder, other ports.
set -eu
cd "$(dirname "$0")/../.."
export ROOKERY_VAR="${ROOKERY_TEST_VAR:-$PWD/var/test}" ROOKERY_PORT_BASE="${ROOKERY_TEST_PORT_BASE:-7500}"
rookery=.venv/bin/rookery
# Whatever servers of the user's own are given: these tests erase and break what they use.
unset KAFKA_BOOTSTRAP_SERVERS SCHEMA_REGISTRY_URL REDIS_URL DATABASE_URL COMMAND_DATABASE_URL VAULT_DATABASE_URL \
    READ_DATABASE_URL QUERY_DATABASE_URL KEYS_DATABASE_URL

make --no-print-directory check
ground=$(.venv/bin/python -m tests.grounds.choice)

# The integration tests, the fault tests and `rookery chaos` have servers of their own beside these.
down_beside() {
    if [ -d "$ROOKERY_VAR/$1/log" ]; then
        ROOKERY_VAR="$ROOKERY_VAR/$1" ROOKERY_PORT_BASE=$((ROOKERY_PORT_BASE + $2)) $rookery down --data
    fi
}

down_all_beside() {
    down_beside integration 80 || true
    down_beside chaos 20 || true
    down_beside chaos-run 40 || true
}

# Once stopping has begun, a further Ctrl-C does not leave half of it running.
beside=
stop() {
    trap "" INT TERM
    for process in $beside; do kill "$process" 2>/dev/null || true; done
    down_all_beside
    $rookery down
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
down_all_beside
$rookery down --data
# Containers are started, and stopped, by the tests themselves.
start() { if [ "$ground" = native ]; then $rookery up; fi; }
if [ $# -gt 0 ]; then
    start
    .venv/bin/python -m pytest "$@"
    exit
fi

# Most tests wait more than they work, so three runs go on at once: beside the others, the integration tests on servers of
# their own, and the tests that need no server under another Python. After them, alone, the faults: some have seconds in
# which a worker must be back.
mkdir -p "$ROOKERY_VAR/log"
pure_log=$ROOKERY_VAR/log/pure-tests.log integration_log=$ROOKERY_VAR/log/integration-tests.log
sh infra/local/pure_tests.sh >"$pure_log" 2>&1 &
pure=$!
beside=$pure
start
(
    export ROOKERY_VAR="$ROOKERY_VAR/integration" ROOKERY_PORT_BASE=$((ROOKERY_PORT_BASE + 80))
    start
    exec .venv/bin/python -m pytest tests/integration
) >"$integration_log" 2>&1 &
integration=$!
beside="$pure $integration"
status=0
.venv/bin/python -m pytest --ignore tests/chaos --ignore tests/integration || status=$?

# One line of a run that passed, all of its output when it did not.
told() {
    if wait "$1"; then
        echo "$2: $(tail -n 1 "$3")"
    else
        status=1
        echo "$2 failed:" >&2
        cat "$3" >&2
    fi
}
told "$pure" "pure tests on another Python" "$pure_log"
told "$integration" "integration tests" "$integration_log"
beside=
down_beside integration 80
.venv/bin/python -m pytest tests/chaos || status=$?
exit "$status"
