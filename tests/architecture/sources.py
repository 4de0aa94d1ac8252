"""The repository's own files, and what their syntax trees tell."""

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from shared.environment import REPOSITORY

PACKAGES = ("schemas", "shared", "command_api", "projectors", "query_api", "infra", "tests")
GENERATED = {"schemas/types.py"}


@cache
def files() -> tuple[Path, ...]:
    """Every file that is tracked or would be: what a clone holds."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=REPOSITORY,
        capture_output=True,
        check=False,
    )
    if listed.returncode == 0:
        names = listed.stdout.decode().split("\0")
        return tuple(sorted(path for name in names if name and (path := REPOSITORY / name).is_file()))
    # Not a clone (an unpacked archive, an image): the packages and what stands beside them.
    inside = (path for package in PACKAGES for path in (REPOSITORY / package).rglob("*"))
    found = (path for path in (*inside, *REPOSITORY.glob("*")) if path.is_file() and "__pycache__" not in path.parts)
    return tuple(sorted(found))


def name(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


def python_files() -> list[Path]:
    return [path for path in files() if path.suffix == ".py"]


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), filename=str(path))


def imports(path: Path) -> Iterator[tuple[str, str]]:
    """(module, name) of everything imported anywhere in the file; the name is empty for `import module`."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.module or "", alias.name) for alias in node.names)


def pure_files() -> list[Path]:
    """The files that the import rules call pure."""
    return [
        path
        for path in python_files()
        if (path.parent.name == "commands" and path.name != "__init__.py")
        or path.name in ("fold.py", "ranking.py", "changes.py", "rules.py", "decision.py")
    ]
