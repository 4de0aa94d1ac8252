"""The kernel stays small and known, and everything that can be set is written down.

Claim: each module of shared/ is listed in its README, and .env.example names every variable that
shared/environment.py reads, and no other, with its true default.
Oracle: the folder, and what `load` asks a recording mapping for.
Cannot catch: a description that says something else than the module does.
"""

import re
from collections.abc import Iterator, Mapping

from shared.environment import PORT_OFFSETS, REPOSITORY, load

MODULES = sorted(path.name for path in (REPOSITORY / "shared").glob("[!_]*.py"))
EXAMPLE = re.findall(r"^# ([A-Z][A-Z_]+)=(\S*)", (REPOSITORY / ".env.example").read_text(), re.MULTILINE)
PORTS = {f"ROOKERY_{port.upper()}_PORT" for port in PORT_OFFSETS}


class Asked(Mapping[str, str]):
    """An environment that keeps in mind what it was asked for."""

    def __init__(self, given: Mapping[str, str]) -> None:
        self.given = given
        self.names: set[str] = set()

    def __getitem__(self, variable: str) -> str:
        self.names.add(variable)
        return self.given[variable]

    def __iter__(self) -> Iterator[str]:
        return iter(self.given)

    def __len__(self) -> int:
        return len(self.given)


def test_the_readme_lists_each_module() -> None:
    listed = re.findall(r"^\| \[(\w+\.py)\]\(\1\)", (REPOSITORY / "shared" / "README.md").read_text(), re.MULTILINE)
    assert listed == MODULES, "shared/README.md lists each module once, in the order of their names"


def test_the_example_names_every_variable() -> None:
    asked = Asked({})
    load(asked)
    named = [variable for variable, _ in EXAMPLE]
    assert len(named) == len(set(named))
    missing = asked.names - PORTS - set(named)
    assert not missing, f".env.example does not name {sorted(missing)}"
    unknown = set(named) - asked.names
    assert not unknown, f".env.example names what shared/environment.py does not read: {sorted(unknown)}"


def test_the_examples_defaults_are_the_defaults() -> None:
    addresses = {"KAFKA_BOOTSTRAP_SERVERS", "SCHEMA_REGISTRY_URL", "REDIS_URL", "DATABASE_URL", "ROOKERY_VAR"}
    given = {variable: value for variable, value in EXAMPLE if value and variable not in addresses}
    assert load(given) == load({}), ".env.example shows another default than shared/environment.py has"
