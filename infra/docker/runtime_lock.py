"""Prints the part of requirements.lock that the running system needs, hashes and all: no linters, no tests.

    python runtime_lock.py > runtime.lock        (in a folder with requirements.lock and pyproject.toml)

The lock says of each package what asked for it; whatever leads to a dependency of pyproject.toml is kept. Only the
standard library is used, since nothing is installed yet where this runs.
"""

import re
import tomllib
from pathlib import Path


def runtime_lock(lock: str, pyproject: str) -> str:
    """The blocks of the packages that `dependencies` ask for, directly or not, in the lock's order."""
    blocks = {normal(block): block for block in re.split(r"^(?=[a-z0-9])", lock, flags=re.MULTILINE) if "==" in block}
    wanted = {normal(each) for each in tomllib.loads(pyproject)["project"]["dependencies"]}
    unknown = wanted - blocks.keys()
    if unknown:
        raise LookupError(f"requirements.lock lacks {', '.join(sorted(unknown))}: make lock")
    asked_by = {
        name: set(re.findall(r"^ +# +(?:via )?([a-z0-9-]+)$", block, re.MULTILINE)) for name, block in blocks.items()
    }
    while True:
        more = {name for name, askers in asked_by.items() if name not in wanted and askers & wanted}
        if not more:
            return "".join(block for name, block in blocks.items() if name in wanted)
        wanted |= more


def normal(requirement: str) -> str:
    """The name that a requirement begins with, as the lock spells it."""
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found
    return re.sub(r"[-_.]+", "-", found.group()).lower()


if __name__ == "__main__":
    print(runtime_lock(Path("requirements.lock").read_text(), Path("pyproject.toml").read_text()), end="")
