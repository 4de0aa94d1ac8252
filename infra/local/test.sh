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

# The fault tests, and `rookery chaos`, have servers of their own beside these, and stop them unless they are cut short.
down_beside() {
    if [ -d "$ROOKERY_VAR/$1/log" ]; then
        ROOKERY_VAR="$ROOKERY_VAR/$1" ROOKERY_PORT_BASE=$((ROOKERY_PORT_BASE + $2)) $rookery down --data
    fi
}

# Once stopping has begun, a further Ctrl-C does not leave half of it running.
beside=
stop() {
    trap "" INT TERM
    for process in $beside; do kill "$process" 2>/dev/null || true; done
    down_beside chaos 20 || true
    down_beside chaos-run 40 || true
    $rookery down
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
$rookery down --data
# Containers are started, and stopped, by the tests themselves.
start() { if [ "$ground" = native ]; then $rookery up; fi; }
if [ $# -gt 0 ]; then
    start
    .venv/bin/python -m pytest "$@"
    exit
fi

# Beside the others: the tests that need no server, under another Python. After them, alone, the faults: some have seconds
# in which a worker must be back.
mkdir -p "$ROOKERY_VAR/log"
pure_log=$ROOKERY_VAR/log/pure-tests.log
sh infra/local/pure_tests.sh >"$pure_log" 2>&1 &
pure=$!
beside=$pure
start
status=0
.venv/bin/python -m pytest --ignore tests/chaos || status=$?

# One line when they passed, all of their output when they did not.
if wait "$pure"; then
    echo "pure tests on another Python: $(tail -n 1 "$pure_log")"
else
    status=1
    echo "pure tests on another Python failed:" >&2
    cat "$pure_log" >&2
fi
beside=
.venv/bin/python -m pytest tests/chaos || status=$?
exit "$status"
