"""Claim: a swap waits for the batch that is being applied, and takes it along; without its locks that batch is lost.

Oracle: the row that the batch sets. A real PostgreSQL; the worker's statement is held open by the test. Cannot catch:
what depends on the moment at which a waiting statement looks its tables' names up: see the integration tests.
"""

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg
import pytest
from psycopg import Connection, RawCursor

from infra.cli.parked import DROP
from projectors.counters.fold import PROJECTION, REACTION
from projectors.runtime import set_aside, siblings, swap
from projectors.runtime.apply import parameters, statement_for
from projectors.runtime.catching_up import CatchUp
from projectors.runtime.changes import Changes
from projectors.runtime.parking_lot import POISON, Parked
from projectors.runtime.prepare import index_statements, table_statements
from projectors.runtime.rebuild import Rebuild, Report
from projectors.runtime.siblings import Kind, Phase, Sibling
from projectors.runtime.stores.arrays import register
from projectors.runtime.stores.port import Advance, Partition
from schemas.codec import Codec
from schemas.registration import open_codec
from schemas.types import PostLiked
from shared.environment import Environment
from tests.runtime.engine import NOON, Ids
from tests.runtime.workers import wait_until
from tests.schemas.events import plainly

ENGAGEMENT = Partition("engagement", 0)


@dataclass
class Stage:
    """A live schema and one rebuilt beside it, both at offset 0."""

    url: str
    connection: Connection[Any]
    changes: Changes
    work: Rebuild
    sibling: Sibling
    codec: Codec
    deadlines: list[float] = field(default_factory=list)
    late: list[TimeoutError] = field(default_factory=list)  # what the next steps under the lock end with

    def apply(self, connection: Connection[Any], schema: str) -> None:
        statement = statement_for(PROJECTION, schema, self.changes)
        step = Advance(ENGAGEMENT, 0, 1, 0)
        row = (
            RawCursor(connection)
            .execute(statement.sql, parameters(statement, step, self.changes), binary=True)
            .fetchone()
        )
        assert row is not None and row[0] == 1

    def positions(self) -> Mapping[Partition, int]:
        return siblings.offsets_of(self.connection, "counters_next")

    def advance(self, targets: Mapping[Partition, int], deadline: float = swap.NEVER) -> int:
        self.deadlines.append(deadline)
        if deadline < swap.NEVER and self.late:
            raise self.late.pop()
        if targets:
            with connected(self.url) as own:
                self.apply(own, "counters_next")
        return len(targets)

    def swap(self) -> swap.Swapped:
        return swap.swap(PROJECTION, self.url, "counters_next", self.positions, self.advance)

    def park(self, offset: int, value: bytes = b"") -> None:
        """Parks a like, or what no fold accepts, in the live schema, as if its fold had refused it."""
        ids = Ids(offset)
        like = PostLiked(
            event_id=ids(), occurred_at=NOON, subject_id=ids(), post_id=ids(), post_author_id=ids(), reaction="like"
        )
        record = Parked(
            topic="engagement", partition=0, record_offset=offset, keys=("key",), state=POISON, event_type=None,
            event_id=None, subject_id=None, record_key=None, value=value or self.codec.encode(like, plainly),
            cause="", reason="",
        )  # fmt: skip
        set_aside.park(self.connection, "counters", ENGAGEMENT, [record])

    def is_marked(self) -> bool:
        found = siblings.found(self.connection, "counters_next")
        return found is not None and found.released

    def waits(self) -> bool:
        row = self.connection.execute("select count(*) from pg_locks where not granted").fetchone()
        return row is not None and row[0] > 0

    def kept(self) -> tuple[int, int]:
        """Rows in the live schema, and its position."""
        row = self.connection.execute(
            "select (select count(*) from counters.reaction), (select next_offset from counters.position)"
        ).fetchone()
        assert row is not None
        return row[0], row[1]


def connected(url: str, autocommit: bool = True) -> Connection[Any]:
    connection = psycopg.connect(url, autocommit=autocommit)
    register(connection.adapters)
    return connection


@pytest.fixture
def stage(servers: Environment, scratch_database: str) -> Iterator[Stage]:
    with connected(scratch_database) as connection:
        for schema in ("counters", "counters_next", "counters_old", "counters_older"):
            connection.execute(f"drop schema if exists {schema} cascade".encode())
        with connection.transaction():
            for statement in (
                *table_statements(PROJECTION, "counters"),
                *index_statements(PROJECTION, "counters"),
            ):
                connection.execute(statement.encode())
        own = replace(servers, read_database_url=scratch_database)
        work = Rebuild(PROJECTION, own, connection, lambda *_: None, processes=1)
        sibling, _ = work.begin_or_resume(Kind.NEXT, "counters_next", {ENGAGEMENT: (0, 0)})
        sibling = work.merge(sibling.at(Phase.MERGING), Report("counters", "counters_next"))
        connection.execute(
            "insert into counters.position (topic, partition, next_offset, epoch, owner)"
            " values ('engagement', 0, 0, 0, 'test')"
        )
        ids, changes = Ids(), Changes()
        changes.set(REACTION, (ids(), ids()), "edge", ids(), (True, "like", ids(), 1))
        yield Stage(scratch_database, connection, changes, work, sibling, open_codec(servers.schema_registry_url))


def test_a_batch_under_way_is_taken_along(stage: Stage) -> None:
    with connected(stage.url, autocommit=False) as worker:
        stage.apply(worker, "counters")
        swapped: list[swap.Swapped] = []
        swapping = threading.Thread(target=lambda: swapped.append(stage.swap()))
        swapping.start()
        wait_until(20, stage.waits)
        worker.commit()
        swapping.join(60)
    assert len(swapped) == 1
    assert stage.kept() == (1, 1)


def test_without_its_locks_the_batch_is_lost(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(swap, "_lock", lambda connection, schema: None)
    with connected(stage.url, autocommit=False) as worker:
        stage.apply(worker, "counters")
        stage.swap()
        worker.commit()
    assert stage.kept() == (0, 0)


def test_a_live_schema_that_is_behind_is_not_replaced(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(swap, "ATTEMPTS_MAX", 2)
    stage.advance({ENGAGEMENT: 1})
    with pytest.raises(swap.NotSwapped, match="engagement/0"):
        stage.swap()
    assert stage.kept() == (0, 0)


def test_a_broker_that_gives_nothing_does_not_hold_the_lock(stage: Stage) -> None:
    stage.late = [TimeoutError()]
    assert stage.swap().attempts == 2
    assert [deadline < swap.NEVER for deadline in stage.deadlines] == [False, True, False, True]


def test_what_is_parked_is_applied_before_the_lock_where_it_is_much(stage: Stage) -> None:
    asked: list[bool] = []  # whether under the lock

    def release(deadline: float) -> None:
        asked.append(deadline < swap.NEVER)
        if asked == [True]:
            raise TimeoutError("much is parked")

    swapped = swap.swap(PROJECTION, stage.url, "counters_next", stage.positions, stage.advance, release)
    assert swapped.attempts == 2 and asked == [True, False, True]


def test_the_epoch_of_the_live_owner_goes_along(stage: Stage) -> None:
    stage.connection.execute("update counters.position set epoch = 7, owner = 'worker'")
    stage.swap()
    rows = stage.connection.execute("select epoch, owner from counters.position").fetchall()
    assert rows == [(7, "worker")]


def test_what_was_applied_before_the_swap_is_remembered_by_later_attempts(
    stage: Stage, servers: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(swap, "ATTEMPTS_MAX", 1)
    writer = CatchUp(PROJECTION, replace(servers, read_database_url=stage.url), "counters_next")
    with connected(stage.url, autocommit=False) as reader:
        reader.execute("select from counters_next.position")  # the swap cannot have it to itself
        stage.park(1)
        with pytest.raises(swap.NotSwapped, match="held"):
            stage.work.swap(stage.sibling, writer)
        assert writer.released == 1 and stage.is_marked()
        # A person drops it, so that nothing is left to apply; what was applied is there still.
        stage.connection.execute("delete from counters.parked")
        stage.connection.execute("delete from counters_next.parked")
        stage.park(2, value=b"no event")
        with pytest.raises(swap.NotSwapped, match="held"):
            stage.work.swap(stage.sibling, writer)
        assert writer.released == 1 and stage.is_marked()
    writer.close()


def test_there_is_one_to_go_back_to_until_the_swap_has_succeeded(
    stage: Stage, servers: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(swap, "ATTEMPTS_MAX", 1)
    stage.connection.execute("create schema counters_old")
    was_live = Sibling("counters_old", "counters", Kind.OLD, Phase.READY, began_at="before")
    siblings.write(stage.connection, was_live)
    writer = CatchUp(PROJECTION, replace(servers, read_database_url=stage.url), "counters_next")
    with connected(stage.url, autocommit=False) as reader:
        reader.execute("select from counters_next.position")
        with pytest.raises(swap.NotSwapped):
            stage.work.swap(stage.sibling, writer)
    assert siblings.found(stage.connection, "counters_old") == was_live
    stage.work.swap(stage.sibling, writer)
    writer.close()
    assert siblings.found(stage.connection, "counters_old") not in (None, was_live)
    assert not siblings.exists(stage.connection, "counters_older")


def test_what_a_person_decides_during_the_swap_is_decided(stage: Stage) -> None:
    stage.park(1)
    set_aside.follow(stage.connection, "counters", "counters_next")

    def drop() -> None:
        with connected(stage.url) as person:
            values = {"topic": "engagement", "partition": 0, "offset": 1, "who": "a person", "why": "a test"}
            person.execute(DROP.replace("{schema}", "counters").encode(), values)

    dropping = threading.Thread(target=drop)

    def release(deadline: float) -> None:
        dropping.start()
        wait_until(20, lambda: stage.waits() or not dropping.is_alive())

    swap.swap(PROJECTION, stage.url, "counters_next", stage.positions, stage.advance, release)
    dropping.join(20)
    rows = stage.connection.execute(
        "select (select count(*) from counters.parked), (select count(*) from counters.dropped)"
    ).fetchall()
    assert rows == [(0, 1)]
