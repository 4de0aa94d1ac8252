"""`rookery doctor` says which of PostgreSQL's extensions the server lacks, and what brings them.

Oracle: the server of these tests, which has what an installation needs; a name that no extension has.
Cannot catch: a server that has the extension's files and refuses to load them.
"""

from dataclasses import replace

import pytest

from infra.cli import doctor
from infra.local import installation as installations
from infra.local.checks import Check
from shared.environment import Environment


def extensions() -> Check:
    (check,) = [each for each in doctor.examine(installations.current()) if each.name == "postgresql extensions"]
    return check


def test_what_the_server_has_is_told(servers: Environment) -> None:
    assert extensions() == Check("postgresql extensions", True, "pg_trgm", None)


def test_what_it_lacks_is_named_with_a_remedy(servers: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "EXTENSIONS", ("pg_trgm", "no_such_extension"))
    found = extensions()
    assert not found.ok and found.detail == "lacks no_such_extension"
    assert found.remedy is not None and "postgresql-contrib" in found.remedy


def test_a_server_that_does_not_run_is_not_looked_at(servers: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    current = installations.current()
    away = replace(current, environment=replace(current.environment, admin_database_url="postgresql://127.0.0.1:1/x"))
    monkeypatch.setattr(installations, "current", lambda: away)
    assert extensions().ok and "not looked at" in extensions().detail
