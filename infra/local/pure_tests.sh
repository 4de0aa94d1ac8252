#!/bin/sh
# Runs the tests that need no server under another Python too, where this machine has one, in an environment of its own
# made from the same lock. Downloads no interpreter: where there is none, it says so and that is all.
#   sh infra/local/pure_tests.sh [3.13]
set -eu
cd "$(dirname "$0")/../.."
version=${1:-3.13}

runs() { "$1" -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] != '$version')" >/dev/null 2>&1; }

if runs .venv/bin/python; then
    echo "pure tests on Python $version: all tests run on it already"
    exit 0
fi
found=
for python in "python$version" "${PYENV_ROOT:-${HOME:-}/.pyenv}"/versions/"$version"*/bin/python; do
    if runs "$python"; then
        found=$(command -v "$python")
        break
    fi
done
if [ -z "$found" ]; then
    echo "pure tests on Python $version: not run, there is no python$version on this machine"
    exit 0
fi

sh infra/local/bootstrap.sh for "$found" ".tools/python$version"
# What differs between interpreters shows with few examples; the other run looks for what is wrong with many.
echo "pure tests on Python $version:"
export PYTHONDONTWRITEBYTECODE=1 HYPOTHESIS_PROFILE=few
exec ".tools/python$version/bin/python" -m pytest --without-servers -p no:cacheprovider \
    tests/specs tests/properties tests/schemas tests/model tests/simulation
