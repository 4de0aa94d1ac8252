#!/bin/sh
# Runs the checks and every test against an installation of their own, which begins empty and is stopped whatever happens.
# Arguments go to pytest. A running demo is not disturbed: other folder, other ports.
set -eu
cd "$(dirname "$0")/../.."
export ROOKERY_VAR="${ROOKERY_TEST_VAR:-$PWD/var/test}" ROOKERY_PORT_BASE="${ROOKERY_TEST_PORT_BASE:-7500}"
rookery=.venv/bin/rookery

make --no-print-directory check

trap '$rookery down' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
$rookery down --data
$rookery up
.venv/bin/python -m pytest "$@"
