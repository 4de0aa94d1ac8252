"""Claim: .env.example names every variable that the running system reads, each with its default, and no other.

Oracle: the variables that load() asks for, and those of a worker's settings. Cannot catch: a variable that is read
elsewhere; the last test says that there is no such place.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields

from projectors.runtime.settings import PREFIX, WorkerSettings
from shared.environment import PORT_OFFSETS, REPOSITORY, load
from tests.architecture.sources import name, python_files

EXAMPLE = (REPOSITORY / ".env.example").read_text()
LINES = dict(re.findall(r"^# ([A-Z][A-Z_]+)=([^ #\n]*)", EXAMPLE, re.MULTILINE))
PORTS = {f"ROOKERY_{port.upper()}_PORT" for port in PORT_OFFSETS}
WORKER = {PREFIX + field.name.upper() for field in fields(WorkerSettings)}
# Read by what starts or tests the system, not by the system.
READ_ELSEWHERE = ("infra/", "tests/")


class Asked(Mapping[str, str]):
    """An empty environment that remembers what it was asked for."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def __getitem__(self, key: str) -> str:
        self.names.add(key)
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def test_every_variable_is_named_and_no_other() -> None:
    asked = Asked()
    load(asked)
    # One port stands for all, since they have one form.
    wanted = (asked.names - PORTS) | {"ROOKERY_GATEWAY_PORT"} | WORKER
    assert set(LINES) == wanted


def test_the_defaults_are_those_of_the_code() -> None:
    def behaviour(given: Mapping[str, str]) -> dict[str, object]:
        environment = load(given)
        return {key: getattr(environment, key) for key in environment.__dataclass_fields__ if key != "secrets"}

    addresses = {variable for variable in LINES if variable.endswith(("_URL", "_SERVERS"))}
    given = {
        variable: value for variable, value in LINES.items() if variable not in addresses | {"ROOKERY_VAR"} and value
    }
    assert behaviour(given) == behaviour({})
    for field in fields(WorkerSettings):
        assert float(LINES[PREFIX + field.name.upper()]) == field.default


def test_nothing_else_of_the_system_reads_variables_of_its_own() -> None:
    for path in python_files():
        if not name(path).startswith((*READ_ELSEWHERE, "shared/environment.py", "projectors/runtime/settings.py")):
            own = re.findall(r"[\"'](ROOKERY_[A-Z_]+)[\"']", path.read_text())
            assert not own, f"{name(path)} reads {own}: shared/environment.py is the one place"
