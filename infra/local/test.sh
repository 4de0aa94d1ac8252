#!/bin/sh
# Runs the checks and every test against an installation of their own, which begins empty and is stopped whatever happens.
# Arguments go to pytest. A running demo is not disturbed: other folder, other ports.
set -eu
cd "$(dirname "$0")/../.."
export ROOKERY_VAR="${ROOKERY_TEST_VAR:-$PWD/var/test}" ROOKERY_PORT_BASE="${ROOKERY_TEST_PORT_BASE:-7500}"
rookery=.venv/bin/rookery
# Whatever servers of the user's own are given: these tests erase and break what they use.
unset KAFKA_BOOTSTRAP_SERVERS SCHEMA_REGISTRY_URL REDIS_URL DATABASE_URL COMMAND_DATABASE_URL VAULT_DATABASE_URL \
    READ_DATABASE_URL QUERY_DATABASE_URL KEYS_DATABASE_URL

make --no-print-directory check

# The fault tests have servers of their own beside these, and stop them unless they are cut short.
down_chaos() {
    if [ -d "$ROOKERY_VAR/chaos/log" ]; then
        ROOKERY_VAR="$ROOKERY_VAR/chaos" ROOKERY_PORT_BASE=$((ROOKERY_PORT_BASE + 20)) $rookery down --data
    fi
}

# Once stopping has begun, a further Ctrl-C does not leave half of it running.
trap 'trap "" INT TERM; down_chaos || true; $rookery down' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
$rookery down --data
$rookery up
.venv/bin/python -m pytest "$@"
