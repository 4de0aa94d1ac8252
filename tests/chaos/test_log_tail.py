"""Claim: a broker that forgot the end of its log is noticed, and `rookery repair-log` brings everything back that the
outbox saw acknowledged: into the log, once in effect, and into every read model.

Oracle: what the clients were answered, against the whole log, and `rookery verify`. A real broker, stopped and begun
again on an older copy of its folder, with the command API, the relay and the projectors running all along. Cannot
catch: a loss older than the outbox's 24 hours, of which tests/infra/test_repair_comparison.py says what is reported.
"""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import psycopg
import pytest

from tests.chaos.accounts import account
from tests.chaos.conftest import Write
from tests.chaos.load import Load
from tests.chaos.system import PROJECTORS, System
from tests.runtime.workers import wait_until

NOTICED_SECONDS_MAX = 120


@pytest.mark.parametrize("grown", [False, True], ids=["shorter", "grown anew"])
def test_a_broker_that_lost_its_tail(system: System, write: Write, grown: bool) -> None:
    with write() as load:
        time.sleep(2)
    system.settle()
    with older_log(system) as forget, write() as lost:
        time.sleep(2)
        # The readers applied what will be gone.
        wait_until(60, lambda: not system.unacknowledged(), every=0.1)
    forget()
    loads = [load, lost]
    if grown:
        with write() as after:
            time.sleep(3)
        loads.append(after)
    logged = [system.logged_since(program) for program in PROJECTORS]
    wait_until(NOTICED_SECONDS_MAX, lambda: any(told("PositionError") for told in logged))
    listed = repair_log(system, 3, "--dry-run")
    assert listed["lost"] > 0 and listed["published"] == 0, listed
    assert not listed["gone"], listed
    repaired = repair_log(system, 0)
    assert repaired["published"] == repaired["lost"] >= listed["lost"], repaired
    print(f"\n  {repaired['lost']} events lost, {repaired['positions_set_back']} positions set back", end="")
    whole(system, loads)
    assert repair_log(system, 0)["lost"] == 0


def test_what_cannot_be_brought_back_is_named(system: System, write: Write) -> None:
    with write() as load:
        time.sleep(1)
    system.settle()
    with older_log(system) as forget, write() as lost:
        time.sleep(2)
        wait_until(60, lambda: not system.unacknowledged(), every=0.1)
    forget()
    listed = repair_log(system, 3, "--dry-run")
    victim = UUID(next(event_id for partition in listed["partitions"] for event_id in partition["lost"]))
    with psycopg.connect(system.environment.command_database_url, autocommit=True) as outbox:
        found = outbox.execute("select key, value from outbox where event_id = %s", (victim,)).fetchone()
        outbox.execute("update outbox set key = null, value = null where event_id = %s", (victim,))
        first, again = repair_log(system, 3), repair_log(system, 3)
        for repaired in (first, again):
            assert [gone["event_id"] for gone in repaired["gone"]] == [str(victim)]
        assert first["positions_set_back"] > 0
        assert again["positions_set_back"] == 0, "what is given up sets nothing back a second time"
        assert found is not None
        # The bytes turn up after all, and the relay does the rest: other tests find a log that is whole.
        outbox.execute(
            "update outbox set key = %s, value = %s, acked_at = null, acked_offset = null where event_id = %s",
            (*found, victim),
        )
    whole(system, [load, lost])


@contextmanager
def older_log(system: System) -> Iterator[Callable[[], None]]:
    """A copy of the broker's folder is made; what is answered puts the broker back to it."""
    data, copy = system.environment.var / "kafka" / "data", system.environment.var / "kafka" / "older"
    with system.stopped("kafka"):
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(data, copy)

    def forget() -> None:
        with system.stopped("kafka"):
            shutil.rmtree(data)
            copy.rename(data)

    yield forget


def repair_log(system: System, status: int, *options: str) -> dict[str, Any]:
    done = system.rookery("repair-log", "--json", *options)
    assert done.returncode == status, done.stdout[-3000:] + done.stderr[-3000:]
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def whole(system: System, loads: list[Load]) -> None:
    """Every accepted write is in the log once in effect; what was published again comes after what is newer."""
    system.settle()
    found = account(system.environment, *loads)
    assert (found.lost, found.doubled) == ([], []), found
    report = system.verify()
    assert report["differences"] == 0, report["first_differences"]
