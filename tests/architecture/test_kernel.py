"""Claim: the kernel stays small and known: each module of shared/ is listed in its README.

Oracle: the folder. Cannot catch: a description that says something else than the module does.
"""

import re

from shared.environment import REPOSITORY

MODULES = sorted(path.name for path in (REPOSITORY / "shared").glob("[!_]*.py"))


def test_the_readme_lists_each_module() -> None:
    listed = re.findall(r"^\| \[(\w+\.py)\]\(\1\)", (REPOSITORY / "shared" / "README.md").read_text(), re.MULTILINE)
    assert listed == MODULES, "shared/README.md lists each module once, in the order of their names"
