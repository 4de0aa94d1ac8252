"""The house's rules about code hold: what is pure stays pure, nothing grows too long, names say something.

Claim: no clock, chance, I/O or minted id in pure files; modules of at most 500 lines and functions of at most 70; no
utils, helpers, manager or common; every fold answers every event; nobody imports the tests.
Oracle: the syntax trees of all files that a clone holds. Import layers are import-linter's (`make check`).
Cannot catch: impurity behind a function that is passed in, and a long function cut into pieces that make no sense.
"""

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from schemas.types import EVENT_TYPES
from tests.architecture.sources import GENERATED, imports, name, pure_files, python_files, tree

MODULE_LINES_MAX = 500
FUNCTION_LINES_MAX = 70
IMPURE_MODULES = {"time", "random", "os", "asyncio", "logging", "secrets", "socket", "subprocess", "threading"}
MINTING = {"uuid1", "uuid4", "uuid6", "uuid7", "mint", "urandom"}
IMPURE_CALLS = {"open", "print", "input", "now", "utcnow", "today", *MINTING}
EMPTY_WORDS = {"utils", "util", "helpers", "helper", "manager", "managers", "common"}


def none(broken: Iterable[str], fix: str) -> None:
    """Fails with every place that breaks the rule, and what to do about it."""
    found = list(broken)
    assert not found, fix + ":\n  " + "\n  ".join(found)


def test_pure_files_import_nothing_impure() -> None:
    none(
        (
            f"{name(path)} imports {module} {imported}"
            for path in pure_files()
            for module, imported in imports(path)
            if module.partition(".")[0] in IMPURE_MODULES or imported in MINTING
        ),
        "decide, fold and rank are pure: the shell passes times, ids and answers in (of ids only uuid5 is pure)",
    )


def test_pure_files_ask_nobody() -> None:
    def asked() -> Iterator[str]:
        for path in pure_files():
            for node in ast.walk(tree(path)):
                if isinstance(node, ast.Call):
                    called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                    if called in IMPURE_CALLS:
                        yield f"{name(path)}:{node.lineno} calls {called}()"
                elif isinstance(node, ast.AsyncFunctionDef | ast.Await):
                    yield f"{name(path)}:{node.lineno} waits for something"

    none(asked(), "decide, fold and rank are pure: pass the answer in")


def test_there_are_pure_files() -> None:
    """The rules above would hold for no files at all."""
    assert {"fold.py", "ranking.py", "changes.py"} <= {path.name for path in pure_files()}


def test_no_module_is_too_long() -> None:
    none(
        (
            f"{name(path)} has {lines} lines"
            for path in python_files()
            if name(path) not in GENERATED
            for lines in [len(path.read_text().splitlines())]
            if lines > MODULE_LINES_MAX
        ),
        f"modules have at most {MODULE_LINES_MAX} lines: split by what the parts guarantee",
    )


def test_no_function_is_too_long() -> None:
    none(
        (
            f"{name(path)}:{node.lineno} {node.name} has {length} lines"
            for path in python_files()
            for node in ast.walk(tree(path))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            for length in [(node.end_lineno or node.lineno) - node.lineno + 1]
            if length > FUNCTION_LINES_MAX
        ),
        f"functions have at most {FUNCTION_LINES_MAX} lines: keep the control flow, move the leaves out",
    )


def test_names_say_something() -> None:
    def empty() -> Iterator[str]:
        for path in python_files():
            for part in Path(name(path)).with_suffix("").parts:
                if words := set(part.lower().split("_")) & EMPTY_WORDS:
                    yield f"{name(path)}: {words}"
            for node in ast.walk(tree(path)):
                if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                    defined = {word.lower() for word in re.findall(r"[A-Z]?[a-z]+", node.name)}
                    if words := defined & EMPTY_WORDS:
                        yield f"{name(path)}:{node.lineno} {node.name}: {words}"

    none(empty(), "name files, classes and functions for what they guarantee or do")


def test_a_module_begins_by_what_it_guarantees() -> None:
    none(
        (
            f"{name(path)}: {first!r}"
            for path in python_files()
            if path.read_text().strip()
            for first in [(ast.get_docstring(tree(path)) or "").partition("\n")[0]]
            if not first or re.match(r"(?i)(stub|todo|fixme)\b", first)
        ),
        "the first line of a module says what it guarantees",
    )


@pytest.mark.parametrize("path", [path for path in pure_files() if path.name == "fold.py"], ids=name)
def test_a_fold_answers_every_event(path: Path) -> None:
    whole = [node for node in ast.walk(tree(path)) if isinstance(node, ast.Match) and _ends_in_assert_never(node)]
    assert whole, f"{name(path)}: its match over the Event union ends in `case _: assert_never(event)`"
    for match in whole:
        answered = {
            node.cls.id
            for case in match.cases
            for node in ast.walk(case.pattern)
            if isinstance(node, ast.MatchClass) and isinstance(node.cls, ast.Name)
        }
        missing = EVENT_TYPES.keys() - answered
        assert not missing, f"{name(path)} neither answers nor ignores {sorted(missing)}: add a case for each"


def _ends_in_assert_never(match: ast.Match) -> bool:
    last = match.cases[-1]
    return (
        isinstance(last.pattern, ast.MatchAs)
        and last.pattern.pattern is None
        and any(
            isinstance(node, ast.Call) and getattr(node.func, "id", "") == "assert_never"
            for statement in last.body
            for node in ast.walk(statement)
        )
    )


def test_nobody_imports_the_tests() -> None:
    none(
        (
            f"{name(path)} imports {module}"
            for path in python_files()
            if not name(path).startswith("tests/")
            for module, _ in imports(path)
            if module.partition(".")[0] == "tests"
        ),
        "the installed package does not have the tests: start them as a process",
    )
