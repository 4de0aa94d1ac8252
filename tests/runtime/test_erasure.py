"""Claim: after an erasure's two sweeps no row of the person is left, counts are those of the rows left, and the receipt
adds up.

Oracle: the rows that others own, counted anew by SQL. The log's ends are given by the test, so that no broker is
needed. Cannot catch: a table whose declaration forgets a column.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import psycopg
from pytest import MonkeyPatch

from projectors.counters.fold import COMMENT, POST, PROJECTION, REACTION
from projectors.runtime import erasure, set_aside, siblings
from projectors.runtime.apply import parameters, statement_for
from projectors.runtime.changes import Changes
from projectors.runtime.erasure import Sweeper
from projectors.runtime.log_ends import LogEnds
from projectors.runtime.parking_lot import POISON, Parked
from projectors.runtime.rebuild import Rebuild
from projectors.runtime.siblings import Kind, connect
from projectors.runtime.stores import postgres
from projectors.runtime.stores.port import Advance, Fence, Outcome, Partition
from projectors.runtime.stores.postgres import PostgresStore
from tests.runtime.counts import assert_counts_are_those_of_the_rows
from tests.runtime.engine import Engine, Ids

POSTS, ENGAGEMENT, ACCOUNTS = Partition("posts", 0), Partition("engagement", 0), Partition("accounts", 0)


class GivenEnds(LogEnds):
    """Log ends as a test says; stands where the broker would be asked."""

    def __init__(self) -> None:
        self.given: dict[Partition, int] = {}

    def partitions(self, topics: Iterable[str]) -> list[Partition]:
        return [POSTS, ENGAGEMENT, ACCOUNTS]

    def ends(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        return {partition: self.given.get(partition, 0) for partition in partitions}


class Scene:
    """A store with three partitions, and a sweeper driven step by step."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.ends = GivenEnds()
        self.sweeper = Sweeper(PROJECTION, engine.environment, self.ends)
        self.store = PostgresStore(PROJECTION, engine.environment.read_database_url, "test")
        self.offsets: dict[Partition, int] = {}
        self.epochs: dict[Partition, int] = {}

    async def begin(self) -> None:
        async def beginning(partitions: Any) -> dict[Partition, int]:
            return dict.fromkeys(partitions, 0)

        fences = await self.store.fence([POSTS, ENGAGEMENT, ACCOUNTS], beginning)
        self.epochs = {partition: fence.epoch for partition, fence in fences.items()}
        self.offsets = {partition: fence.offset for partition, fence in fences.items()}

    def step(self, partition: Partition) -> Advance:
        offset = self.offsets[partition]
        self.offsets[partition] += 1
        return Advance(partition, offset, offset + 1, self.epochs[partition])

    async def apply(self, partition: Partition, changes: Changes) -> None:
        assert await self.store.apply(self.step(partition), changes) is Outcome.APPLIED

    async def sweep(self) -> bool:
        """One step of the sweeper; whether it waits for positions."""
        async with await postgres.connect(self.engine.environment.read_database_url) as connection:
            return await self.sweeper.step(connection)


def played(engine: Engine, play: Callable[[Scene], Awaitable[None]]) -> None:
    async def run() -> None:
        scene = Scene(engine)
        await scene.begin()
        try:
            await play(scene)
        finally:
            await scene.store.close()

    asyncio.run(run())


def crowd(ids: Ids, ann: Any, others: list[Any]) -> Changes:
    """Everybody posts, likes and comments everybody."""
    changes = Changes()
    for author in (ann, *others):
        post = ids()
        changes.set(POST, (post,), "created", post, (author, None))
        quoting = ids()
        changes.set(POST, (quoting,), "created", quoting, (author, post))
        for actor in (ann, *others):
            changes.set(REACTION, (post, actor), "edge", ids(), (True, "like", author, 1))
            comment = ids()
            changes.set(COMMENT, (comment,), "place", comment, (post, actor, author))
            changes.set(COMMENT, (comment,), "created", comment, (None, 1))
    return changes


def test_two_sweeps_remove_what_an_older_batch_still_brought_in(counters: Engine) -> None:
    ids = Ids()
    ann, ben, cat, dan = ids.many(4)
    likes_of_ann = Changes()
    post = ids()
    for actor in (ann, ben):
        likes_of_ann.set(REACTION, (post, actor), "edge", ids(), (True, "love", dan, 1))

    async def play(scene: Scene) -> None:
        await scene.apply(POSTS, crowd(ids, ann, [ben, cat]))
        in_flight = await postgres.connect(counters.environment.read_database_url)
        statement = statement_for(PROJECTION, "counters", likes_of_ann)
        async with in_flight, in_flight.transaction():
            # An older batch of another worker: applied with a snapshot from before the erasure, not yet committed.
            await in_flight.execute(statement.sql, parameters(statement, scene.step(ENGAGEMENT), likes_of_ann))
            erased = Changes()
            erased.erase(ann, ids())
            await scene.apply(ACCOUNTS, erased)
            scene.ends.given = {POSTS: 1, ENGAGEMENT: 1, ACCOUNTS: 1}
            assert await scene.sweep() is True
            assert counters.rows("select 1 from counters.reaction where %s in (actor_id, author_id)", ann) == []
            assert counters.rows("select done_at, log_ends from counters.erased") == [
                (None, {"posts:0": 1, "engagement:0": 1, "accounts:0": 1})
            ]
        assert counters.rows("select count(*) from counters.reaction where actor_id = %s", ann) == [(1,)]
        assert await scene.sweep() is False
        # Later ones are never let in.
        await scene.apply(ENGAGEMENT, crowd(ids, ann, [ben]))

    played(counters, play)
    for table, columns in (
        ("post", ["author_id"]),
        ("reaction", ["actor_id", "author_id"]),
        ("comment", ["author_id", "post_author_id"]),
        ("person_count", ["user_id"]),
        ("affinity", ["viewer_id", "author_id"]),
    ):
        for column in columns:
            assert counters.rows(f"select count(*) from counters.{table} where {column} = %s", ann) == [(0,)], (
                table,
                column,
            )
    assert_counts_are_those_of_the_rows(counters)
    receipt = "select rows_deleted, positions, done_at is not null from counters.erased"
    [(rows_deleted, positions, done)] = counters.rows(receipt)
    # Ann's 2 posts; 3 reactions of hers and 2 of others to her, and the one in flight; comments likewise.
    assert done and positions == {"posts:0": 1, "engagement:0": 1, "accounts:0": 1}
    assert (rows_deleted["post"], rows_deleted["reaction"], rows_deleted["comment"]) == (2, 6, 5)


def test_a_deleted_posts_rows_go_in_chunks_and_a_broken_off_sweep_goes_on(
    counters: Engine, monkeypatch: MonkeyPatch
) -> None:
    monkeypatch.setattr(erasure, "CHUNK_ROWS", 7)
    ids = Ids()
    author = ids()
    post, kept = ids.many(2)
    likes = Changes()
    for actor in ids.many(60):
        for target in (post, kept):
            likes.set(REACTION, (target, actor), "edge", ids(), (True, "like", author, 1))

    async def play(scene: Scene) -> None:
        await scene.apply(ENGAGEMENT, likes)
        gone = Changes()
        gone.set(POST, (post,), "deleted", ids())
        gone.remove(post, ids())
        await scene.apply(POSTS, gone)
        async with await postgres.connect(counters.environment.read_database_url) as connection:
            # Two chunks, then the process ends.
            for _ in range(2):
                await connection.execute(scene.sweeper.statement("gone", REACTION, "post_id"), ([post],))
        assert counters.rows("select rows_deleted from counters.gone") == [({"reaction": 14},)]
        assert await scene.sweep() is False

    played(counters, play)
    assert counters.rows("select post_id, count(*) from counters.reaction group by 1") == [(kept, 60)]
    assert counters.rows("select post_id, likes from counters.post_count") == [(kept, 60)]
    assert counters.rows("select rows_deleted ->> 'reaction', done_at is not null from counters.gone") == [("60", True)]
    assert_counts_are_those_of_the_rows(counters)


def test_one_sweeper_per_schema_and_an_entry_wakes_it(counters: Engine) -> None:
    ids = Ids()
    ann = ids()

    async def play(scene: Scene) -> None:
        await scene.apply(POSTS, crowd(ids, ann, ids.many(1)))
        sweepers = [asyncio.create_task(Sweeper(PROJECTION, counters.environment, scene.ends).run()) for _ in range(2)]
        await asyncio.sleep(0.3)
        held = """select count(*) from pg_locks where locktype = 'advisory'
                   and database = (select oid from pg_database where datname = current_database())"""
        assert counters.rows(held) == [(1,)]
        erased = Changes()
        erased.erase(ann, ids())
        await scene.apply(ACCOUNTS, erased)
        for _ in range(40):
            await asyncio.sleep(0.02)
            if counters.rows("select 1 from counters.erased where done_at is not null"):
                break
        [(seconds,)] = counters.rows("select extract(epoch from done_at - entered_at)::float from counters.erased")
        assert seconds < 0.5
        for sweeper in sweepers:
            sweeper.cancel()

    played(counters, play)


def test_positions_pass_only_when_every_partition_has() -> None:
    fences = {POSTS: Fence(5, 1), ENGAGEMENT: Fence(3, 1)}
    assert erasure.has_passed(fences, {"posts:0": 5, "engagement:0": 2, "accounts:0": 0})
    assert not erasure.has_passed(fences, {"posts:0": 6, "engagement:0": 2})
    assert not erasure.has_passed(fences, {"posts:1": 1})


def test_the_sweepers_statement_is_valid_for_every_table(counters: Engine) -> None:
    sweeper = Sweeper(PROJECTION, counters.environment, GivenEnds())
    with psycopg.connect(counters.environment.read_database_url, cursor_factory=psycopg.RawCursor) as connection:
        for name, (_, swept) in sweeper._sets.items():
            for table, column in swept:
                row = connection.execute(sweeper.statement(name, table, column).encode(), ([],)).fetchone()
                assert row == (0,)


def test_an_unfinished_rebuild_keeps_no_parked_bytes_of_the_erased(counters: Engine) -> None:
    ids = Ids()
    ann, ben = ids.many(2)
    with connect(counters.environment.read_database_url) as connection:
        parked = [
            Parked("engagement", 0, offset, ("key",), POISON, None, None, person, b"key", b"value", "", "")
            for offset, person in enumerate((ann, ben))
        ]
        set_aside.park(connection, "counters", ENGAGEMENT, parked)
        work = Rebuild(PROJECTION, counters.environment, connection, lambda *_: None)
        loading, _ = work.begin_or_resume(Kind.NEXT, "counters_next", {ENGAGEMENT: (0, 2)})
        try:
            assert [each.subject_id for each in set_aside.lying(connection, "counters_next")] == [ann, ben]
            connection.execute("insert into counters.erased (user_id, event_id) values (%s, %s)", (ann, ids()))
            work.sweep(loading)
            assert [each.subject_id for each in set_aside.lying(connection, "counters_next")] == [ben]
        finally:
            siblings.drop(connection, "counters_next")
