#!/bin/sh
# Makes .venv hold exactly what requirements.lock says, whatever this machine has: its own uv, or one in .tools.
# Never installs into the system's Python and never downloads an interpreter. With the word "lock": resolves the lock anew.
# With "for PYTHON DIRECTORY": the same, for another interpreter and in another place.
set -eu
cd "$(dirname "$0")/../.."
UV_VERSION=0.13.8
export UV_PYTHON_DOWNLOADS=never UV_NO_PROGRESS=1

fail() { echo "setup: $*" >&2; exit 1; }

recent_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

find_python() {
    for python in python3 /usr/bin/python3 python3.14 python3.13 python3.12 python3.11; do
        if recent_enough "$python"; then command -v "$python"; return; fi
    done
    fail "Python 3.11 or later is needed; on Debian: apt-get update && apt-get install --yes python3 python3-venv"
}

# Debian's python3 lacks ensurepip until python3-venv is installed, and its pip refuses to touch the system (PEP 668).
make_tool_environment() {
    rm -rf .tools/uv
    if "$1" -m venv .tools/uv >/dev/null 2>&1; then return; fi
    rm -rf .tools/uv
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        fail "$1 cannot make virtual environments; on Debian: sudo apt-get update && sudo apt-get install --yes python3-venv"
    fi
    echo "setup: installing python3-venv from Debian's packages" >&2
    export DEBIAN_FRONTEND=noninteractive
    said=$(apt-get -q update 2>&1) || fail "apt-get update failed: $said"
    said=$(apt-get -q install --yes --no-install-recommends python3-venv </dev/null 2>&1) ||
        fail "installing python3-venv failed: $said"
    "$1" -m venv .tools/uv
}

find_uv() {
    if uv --version >/dev/null 2>&1; then echo uv; return; fi
    if ! .tools/uv/bin/uv --version >/dev/null 2>&1; then
        make_tool_environment "$python"
        echo "setup: installing uv into .tools" >&2
        .tools/uv/bin/python -m pip install --quiet --disable-pip-version-check "uv==$UV_VERSION" >&2
    fi
    echo .tools/uv/bin/uv
}

python=$(find_python)

if [ "${1:-}" = lock ]; then
    uv=$(find_uv)
    # Hashes, and no address of any package registry: each machine uses its own.
    "$uv" pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-header --quiet -o requirements.lock
    exit 0
fi

venv=.venv
if [ "${1:-}" = for ]; then
    python=$2
    venv=$3
fi

stamp=$venv/.rookery-setup
wanted=$(cat requirements.lock pyproject.toml infra/local/bootstrap.sh | sha256sum | cut -c1-64)
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted $PWD" ] && recent_enough "$venv/bin/python"; then exit 0; fi

uv=$(find_uv)
echo "setup: $venv from requirements.lock ($("$uv" --version), $("$python" --version))" >&2
if ! recent_enough "$venv/bin/python"; then
    rm -rf "$venv"
    "$uv" venv --quiet --no-python-downloads --python "$python" "$venv"
fi
# Compiled here once, not by a dozen processes at the same time at their first start.
"$uv" pip sync --quiet --compile-bytecode --python "$venv/bin/python" --require-hashes requirements.lock
# The build backend is in the lock, so that building needs nothing else.
"$uv" pip install --quiet --python "$venv/bin/python" --no-deps --no-build-isolation --editable .
echo "$wanted $PWD" >"$stamp"
