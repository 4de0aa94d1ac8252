"""Claim: one statement applies a batch; the newest event wins per group, counts fit the rows, position and data are
one.

Oracle: the rows written out by hand, and counts computed anew from the rows by SQL. Cannot catch: what a transport does
wrong.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
import pytest

from projectors.counters import fold as counters_fold
from projectors.counters.fold import COMMENT, POST, PROJECTION, REACTION
from projectors.runtime.apply import added_columns, parameters, statement_for
from projectors.runtime.changes import Changes, Table
from projectors.runtime.stores import postgres
from projectors.runtime.stores.arrays import packer, register, wire_type
from projectors.runtime.stores.port import Advance, Fence, Outcome, Partition
from projectors.runtime.stores.postgres import PostgresStore
from tests.runtime.counts import assert_counts_are_those_of_the_rows
from tests.runtime.engine import Engine, Ids
from tests.runtime.workers import wait_until

HERE = Partition("engagement", 0)
THERE = Partition("posts", 0)


async def _from_zero(partitions: Any) -> dict[Partition, int]:
    return dict.fromkeys(partitions, 0)


class Applying:
    """Applies changes as two partitions' owner, one step after the other."""

    def __init__(self, engine: Engine) -> None:
        self.store = PostgresStore(PROJECTION, engine.environment.read_database_url, "test")
        self.next = {HERE: 0, THERE: 0}
        self.epochs: dict[Partition, int] = {}

    async def begin(self) -> None:
        fences = await self.store.fence([HERE, THERE], _from_zero)
        self.epochs = {partition: fence.epoch for partition, fence in fences.items()}
        self.next = {partition: fence.offset for partition, fence in fences.items()}

    async def __call__(self, changes: Changes, partition: Partition = HERE) -> Outcome:
        start = self.next[partition]
        outcome = await self.store.apply(Advance(partition, start, start + 1, self.epochs[partition]), changes)
        if outcome is Outcome.APPLIED:
            self.next[partition] += 1
        return outcome


def applying(engine: Engine, scenario: Callable[[Applying], Awaitable[None]]) -> None:
    async def run() -> None:
        apply = Applying(engine)
        await apply.begin()
        try:
            await scenario(apply)
        finally:
            await apply.store.close()

    asyncio.run(run())


def reaction(
    post: UUID, actor: UUID, event: UUID, active: bool, author: UUID, kind: str = "like", day: int = 1
) -> Changes:
    changes = Changes()
    changes.set(REACTION, (post, actor), "edge", event, (active, kind if active else None, author, day))
    return changes


def published(post: UUID, author: UUID, quote_of: UUID | None = None) -> Changes:
    changes = Changes()
    changes.set(POST, (post,), "created", post, (author, quote_of))
    return changes


def deleted(post: UUID, event: UUID) -> Changes:
    changes = Changes()
    changes.set(POST, (post,), "deleted", event)
    return changes


def test_the_newest_event_wins_and_duplicates_are_inert(counters: Engine) -> None:
    ids = Ids()
    post, author, ann = ids(), ids(), ids()
    first, second, third = ids.many(3)

    async def scenario(apply: Applying) -> None:
        await apply(reaction(post, ann, second, False, author))
        await apply(reaction(post, ann, first, True, author))
        assert counters.rows("select likes from counters.post_count where likes <> 0") == []
        await apply(reaction(post, ann, third, True, author, "love"))
        for event in (third, third, first, second):
            assert await apply(reaction(post, ann, event, event != second, author, "love")) is Outcome.APPLIED
        assert counters.rows("select edge_event, active, reaction from counters.reaction") == [(third, True, "love")]
        assert counters.rows("select likes from counters.post_count") == [(1,)]

    applying(counters, scenario)
    assert_counts_are_those_of_the_rows(counters)


def test_a_count_moves_when_the_column_it_groups_by_changes(counters: Engine) -> None:
    ids = Ids()
    post, author, ann = ids(), ids(), ids()

    async def scenario(apply: Applying) -> None:
        await apply(reaction(post, ann, ids(), True, author, "like", day=1))
        await apply(reaction(post, ann, ids(), True, author, "love", day=2))
        await apply(reaction(post, ann, ids(), True, author, "love", day=3))

    applying(counters, scenario)
    assert counters.rows("select reaction, n from counters.reaction_count order by 1") == [("like", 0), ("love", 1)]
    assert counters.rows("select day, weight from counters.affinity order by 1") == [(3, 1)]
    assert counters.rows("select likes from counters.post_count") == [(1,)]


@pytest.mark.parametrize("late_creation", [False, True])
def test_groups_of_one_row_arrive_in_any_order(counters: Engine, late_creation: bool) -> None:
    ids = Ids()
    post, author, quoted = ids(), ids(), ids()
    gone = ids()

    async def scenario(apply: Applying) -> None:
        steps = [published(post, author, quoted), deleted(post, gone)]
        for step in reversed(steps) if late_creation else steps:
            await apply(step)
        await apply(published(post, author, quoted))

    applying(counters, scenario)
    assert counters.rows("select created_event, author_id, deleted_event from counters.post") == [(post, author, gone)]
    assert counters.rows("select posts from counters.person_count where posts <> 0") == []
    assert counters.rows("select quotes from counters.post_count where quotes <> 0") == []


def test_one_batch_may_count_into_one_row_from_several_tables(counters: Engine) -> None:
    ids = Ids()
    post, author, ann, quoting, comment = ids.many(5)

    async def scenario(apply: Applying) -> None:
        both = published(quoting, ann, quote_of=post)
        both.set(COMMENT, (comment,), "place", comment, (post, ann, author))
        both.set(COMMENT, (comment,), "created", comment, (None, 1))
        both.set(REACTION, (post, ann), "edge", ids(), (True, "like", author, 1))
        assert await apply(both) is Outcome.APPLIED

    applying(counters, scenario)
    assert counters.rows("select post_id, likes, comments, shares, quotes from counters.post_count") == [
        (post, 1, 1, 0, 1)
    ]
    assert counters.rows("select viewer_id, author_id, weight from counters.affinity") == [(ann, author, 4)]


def test_rows_of_erased_people_and_gone_posts_never_come_back(counters: Engine) -> None:
    ids = Ids()
    post, other_post, author, ann, ben = ids.many(5)

    async def scenario(apply: Applying) -> None:
        changes = Changes()
        changes.erase(ann, ids())
        changes.remove(other_post, ids())
        await apply(changes)
        await apply(reaction(post, ann, ids(), True, author))
        await apply(reaction(other_post, ben, ids(), True, author))
        await apply(reaction(post, author, ids(), True, ann))
        await apply(published(ids(), ben, quote_of=other_post))

    applying(counters, scenario)
    assert counters.rows("select count(*) from counters.reaction") == [(0,)]
    assert counters.rows("select count(*) from counters.post_count") == [(0,)]
    assert counters.rows("select posts from counters.person_count") == [(1,)]


def test_position_and_data_are_one(counters: Engine) -> None:
    ids = Ids()
    post, author, ann = ids.many(3)

    async def scenario(apply: Applying) -> None:
        store, epoch = apply.store, apply.epochs[HERE]
        like = reaction(post, ann, ids(), True, author)
        assert await store.apply(Advance(HERE, 0, 7, epoch, ids()), like) is Outcome.APPLIED
        # The answer got lost and the step is made again; then steps that do not follow; then another owner's epoch.
        assert await store.apply(Advance(HERE, 0, 7, epoch), like) is Outcome.ALREADY
        late = reaction(post, ids(), ids(), True, author)
        assert await store.apply(Advance(HERE, 0, 8, epoch), late) is Outcome.REFUSED
        assert await store.apply(Advance(HERE, 8, 9, epoch), late) is Outcome.REFUSED
        assert await store.apply(Advance(HERE, 7, 9, epoch - 1), late) is Outcome.REFUSED
        await apply.begin()
        assert await store.apply(Advance(HERE, 7, 9, epoch), late) is Outcome.REFUSED
        assert await store.apply(Advance(HERE, 7, 9, epoch + 1), Changes()) is Outcome.APPLIED
        assert (await store.positions())[HERE] == Fence(9, epoch + 1)

    applying(counters, scenario)
    assert counters.rows("select likes from counters.post_count") == [(1,)]


def test_a_deadlock_and_a_lost_connection_are_tried_again(counters: Engine) -> None:
    ids = Ids()
    first, second, actor, author = ids.many(4)
    both = Changes()
    for post in (first, second):
        both.set(REACTION, (post, actor), "edge", ids(), (True, "like", author, 1))
    touch = "update counters.reaction set day = day where post_id = %s"
    waits = "select 1 from pg_stat_activity where wait_event_type = 'Lock' and query ~ '^with advanced'"

    async def scenario(apply: Applying) -> None:
        await apply(both)
        undone = Changes()
        for post in (first, second):
            undone.set(REACTION, (post, actor), "edge", ids(), (False, None, author, 1))
        with psycopg.connect(counters.environment.read_database_url) as other:
            other.execute(touch, (second,))
            applying = asyncio.create_task(apply(undone))
            await asyncio.to_thread(wait_until, 5, lambda: counters.rows(waits))
            # The apply has the first row and waits for the second: as the one who waits longer it is broken off.
            await asyncio.to_thread(other.execute, touch, (first,))
        assert await applying is Outcome.APPLIED
        counters.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid()"
            " and application_name = 'rookery-projector' and datname = current_database()"
        )
        assert await apply(both) is Outcome.APPLIED

    applying(counters, scenario)
    assert counters.rows("select active from counters.reaction") == [(False,), (False,)]
    assert_counts_are_those_of_the_rows(counters)


def test_counts_hold_when_two_partitions_reach_one_row_at_once(counters: Engine) -> None:
    """The second statement waits for the first one's row lock, with a snapshot from before the first one's change."""
    ids = Ids()
    post, author = ids.many(2)

    async def scenario(apply: Applying) -> None:
        await apply(published(post, author))
        other = await postgres.connect(counters.environment.read_database_url)
        changes = deleted(post, ids())
        statement = statement_for(PROJECTION, "counters", changes)
        step = Advance(THERE, apply.next[THERE], apply.next[THERE] + 1, apply.epochs[THERE])
        async with other, other.transaction():
            await other.execute(statement.sql, parameters(statement, step, changes))
            # Both take the post out of the count, each as far as its snapshot can see the first to do so.
            waiting = asyncio.create_task(apply(deleted(post, ids())))
            lock = "select 1 from pg_stat_activity where wait_event_type = 'Lock' and query ~ '^with advanced'"
            await asyncio.to_thread(wait_until, 5, lambda: counters.rows(lock))
        assert await waiting is Outcome.APPLIED

    applying(counters, scenario)
    assert counters.rows("select posts from counters.person_count") == [(0,)]
    assert_counts_are_those_of_the_rows(counters)


def test_many_partitions_at_once_leave_the_counts_of_the_rows(counters: Engine) -> None:
    ids = Ids(5)
    people, posts = ids.many(6), ids.many(5)
    random = ids.random

    def batch() -> Changes:
        changes = Changes()
        for _ in range(40):
            post, actor, author = random.choice(posts), random.choice(people), people[0]
            day, kind = random.randrange(3), random.choice(["like", "love"])
            changes.set(REACTION, (post, actor), "edge", ids(), (random.random() < 0.6, kind, author, day))
            if random.random() < 0.2:
                changes.set(POST, (post,), "created", post, (author, random.choice([None, *posts])))
            if random.random() < 0.1:
                changes.set(POST, (post,), "deleted", ids())
        return changes

    batches = [[batch() for _ in range(15)] for _ in range(4)]
    for queue in batches:
        random.shuffle(queue)

    async def one_partition(number: int, queue: list[Changes]) -> None:
        store = PostgresStore(PROJECTION, counters.environment.read_database_url, f"test {number}")
        partition = Partition("engagement", number)
        epoch = (await store.fence([partition], _from_zero))[partition].epoch
        for offset, changes in enumerate(queue):
            assert await store.apply(Advance(partition, offset, offset + 1, epoch), changes) is Outcome.APPLIED
        await store.close()

    async def run() -> None:
        await asyncio.gather(*(one_partition(number, queue) for number, queue in enumerate(batches)))

    asyncio.run(run())
    assert_counts_are_those_of_the_rows(counters)


def test_columns_of_every_type_arrive_as_they_are(counters: Engine) -> None:
    ids = Ids()
    one, two = ids.many(2)
    moment = datetime(2025, 7, 1, 12, 30, 0, 123456, tzinfo=UTC)
    columns: dict[str, list[Any]] = {
        "uuid": [one, None],
        "text": ['a "quoted" \\ text {}, ☃', None],
        "boolean": [True, None],
        "integer": [-5, None],
        "bigint": [1 << 40, None],
        "timestamptz": [moment, None],
        "jsonb": [{"reaction": "like", "n": [1, None]}, None],
        "uuid[]": [(one, two), ()],
        "text[]": [('with "quotes"', "back\\slash", "a,b", "NULL", ""), None],
    }
    expected = {**columns, "uuid[]": [[one, two], []], "text[]": [list(columns["text[]"][0]), None]}
    with psycopg.connect(counters.environment.read_database_url, cursor_factory=psycopg.RawCursor) as connection:
        register(connection.adapters)
        for kind, values in columns.items():
            query = f"select v::{kind} from unnest($1::{wire_type(kind)}[]) with ordinality as s (v, nth) order by nth"
            answer = connection.execute(query.encode(), [packer(kind)(values)]).fetchall()
            assert [value for (value,) in answer] == expected[kind], kind


def test_effects_see_which_group_changed_and_take_numbers_under_a_lock(counters: Engine) -> None:
    counters.execute(
        "create table if not exists counters.log (nth bigserial, post_id uuid, cause_changed boolean, old uuid)"
    )
    table = Table(
        "noted",
        {"post_id": "uuid"},
        {"cause": {"active": "boolean"}, "read": {}},
        {},
        (),
        counted="",
    )
    projection = replace(
        PROJECTION,
        tables=(*PROJECTION.tables, table),
        effects="""
        logged as (insert into {schema}.log (post_id, cause_changed, old)
                   select post_id, cause_changed, was_cause_event from changed_noted where active is not null
                   returning 1),
        effect as (select pg_notify('noted', '100%') from logged limit 1)""",
    )
    counters.execute(
        "create table counters.noted (post_id uuid primary key, cause_event uuid, active boolean, read_event uuid)"
    )
    for column, definition in added_columns(projection, table):
        counters.execute(f"alter table counters.noted add column {column} {definition}")
    ids = Ids()
    post, first, read, second = ids.many(4)

    async def scenario(apply: Applying) -> None:
        apply.store.projection = projection
        async with await postgres.connect(counters.environment.read_database_url) as listening:
            await listening.execute("listen noted")
            for group, event, values in (
                ("cause", first, (True,)),
                ("read", read, ()),
                ("cause", second, (False,)),
                ("cause", first, (True,)),
            ):
                changes = Changes()
                changes.set(table, (post,), group, event, values)
                await apply(changes)
            await apply(reaction(post, first, second, True, read))
            notices = [notice.payload async for notice in listening.notifies(timeout=1, stop_after=3)]
            assert notices == ["100%"] * 3

    applying(counters, scenario)
    logged = counters.rows("select cause_changed, old from counters.log order by nth")
    assert logged == [(True, None), (False, first), (True, first)]
    counters.execute("drop table counters.noted, counters.log")


def test_the_statement_begins_with_the_position() -> None:
    changes = counters_fold.fold([])
    assert statement_for(PROJECTION, "counters", changes).sql.startswith(
        "with advanced as (\n  update counters.position"
    )
