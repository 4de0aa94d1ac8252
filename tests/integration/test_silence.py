"""Claim: who mutes or blocks somebody is shown nothing of them from then on; a block hides also what others do at their
posts. What they were shown is taken back once, and what still stands when that ends is shown again once, under numbers
without a hole; also when both happen at the same moment in two workers.

Oracle: the frames written out by hand. Runs the notifications projection's own apply, on two connections, on a
PostgreSQL database of the test's own. Cannot catch: what a connection does with a frame (tests/query_api does).
"""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest
from psycopg import AsyncConnection

from projectors.notifications.fold import PROJECTION, fold, notification_id
from projectors.runtime.apply import parameters, statement_for
from projectors.runtime.stores.port import Advance, Partition
from projectors.runtime.stores.postgres import connect
from schemas.types import Event
from shared.environment import Environment
from tests.runtime.engine import Engine, read_database
from tests.specs.fold_cases import (
    ANA,
    BEN,
    CLEO,
    approved,
    blocked,
    comment_edited,
    commented,
    followed,
    liked,
    muted,
    published,
    requested,
    unblocked,
    unliked,
    unmuted,
)

POST = published(1, ANA)
LIKE = notification_id(ANA, BEN, "like", POST.post_id)
UNDER = published(1, CLEO)
Told = tuple[str, str]


@pytest.fixture(scope="module")
def made(servers: Environment) -> Iterator[Engine]:
    with read_database(f"read_silence_test_{os.getpid()}", PROJECTION) as engine:
        yield engine


@pytest.fixture
def engine(made: Engine) -> Engine:
    made.execute("truncate delivery.frame, delivery.head, notifications.notification, notifications.silence")
    made.execute("truncate notifications.position")
    made.execute(
        "insert into notifications.position (topic, partition, next_offset, epoch, owner)"
        " select 'graph', number, 0, 1, 'test' from generate_series(0, 9) as number"
    )
    return made


async def apply(connection: AsyncConnection[Any], partition: int, *events: Event) -> None:
    """One batch, the first of its partition, as the store applies it; the caller's transaction holds its locks."""
    changes = fold(events)
    statement = statement_for(PROJECTION, "notifications", changes)
    values = parameters(statement, Advance(Partition("graph", partition), 0, len(events), 1), changes)
    cursor = await connection.execute(statement.sql, values, binary=True)
    row = await cursor.fetchone()
    assert row is not None and row[0] == 1


def applied(engine: Engine, *batches: list[Event]) -> None:
    """Each batch comes from a partition of its own, so that it may come again."""

    async def scenario() -> None:
        async with await connect(engine.environment.read_database_url) as connection:
            for partition, events in enumerate(batches):
                await apply(connection, partition, *events)

    asyncio.run(scenario())


def frames(engine: Engine, recipient: UUID) -> list[Told]:
    """What the recipient is told, in order: the verb and whether it is set or removed."""
    return engine.rows(
        """select n.verb, f.operation from delivery.frame as f
             join notifications.notification as n on n.recipient_id = f.recipient_id and n.id = f.notification_id
            where f.recipient_id = %s order by f.seq""",
        recipient,
    )


SET, REMOVE = ("like", "set"), ("like", "remove")
A_LIKE = liked(2, BEN, POST)


@pytest.mark.parametrize(
    ("batches", "expected"),
    [
        pytest.param([[A_LIKE], [muted(3, ANA, BEN)]], [SET, REMOVE], id="muted"),
        pytest.param([[A_LIKE], [muted(3, ANA, BEN)], [muted(3, ANA, BEN)]], [SET, REMOVE], id="redelivered"),
        pytest.param([[A_LIKE], [blocked(3, ANA, BEN)]], [SET, REMOVE], id="blocked"),
        pytest.param([[A_LIKE], [blocked(3, BEN, ANA)]], [SET, REMOVE], id="blocked by"),
        pytest.param([[A_LIKE], [muted(3, BEN, ANA)]], [SET], id="muted by, which nobody learns"),
        pytest.param([[A_LIKE], [muted(3, ANA, CLEO)]], [SET], id="somebody else"),
        pytest.param([[A_LIKE], [muted(3, ANA, BEN), unmuted(4, ANA, BEN)]], [SET], id="over before it showed"),
        pytest.param([[A_LIKE], [muted(3, ANA, BEN)], [unmuted(4, ANA, BEN)]], [SET, REMOVE, SET], id="unmuted"),
        pytest.param([[A_LIKE], [blocked(3, ANA, BEN)], [unblocked(4, ANA, BEN)]], [SET, REMOVE, SET], id="unblocked"),
        pytest.param([[muted(3, ANA, BEN)], [liked(4, BEN, POST)]], [], id="while silent"),
        pytest.param([[muted(3, ANA, BEN)], [liked(4, BEN, POST)], [unliked(5, BEN, POST)]], [], id="come and gone"),
        pytest.param([[muted(3, ANA, BEN)], [liked(4, BEN, POST)], [unmuted(5, ANA, BEN)]], [SET], id="shown later"),
        pytest.param([[muted(4, ANA, BEN)], [A_LIKE], [unmuted(3, ANA, BEN)]], [], id="an older word"),
        pytest.param(
            [[A_LIKE], [muted(3, ANA, BEN)], [unliked(4, BEN, POST)], [unmuted(5, ANA, BEN)]], [SET, REMOVE],
            id="undone while silent",
        ),
        pytest.param(
            [[A_LIKE], [muted(3, ANA, BEN)], [liked(4, BEN, POST, "love")], [unmuted(5, ANA, BEN)]],
            [SET, REMOVE, SET],
            id="another reaction while silent",
        ),
        pytest.param(
            [[A_LIKE], [muted(3, ANA, BEN)], [blocked(4, BEN, ANA)], [unmuted(5, ANA, BEN)], [unblocked(6, BEN, ANA)]],
            [SET, REMOVE, SET],
            id="until the last reason ends",
        ),
    ],
)  # fmt: skip
def test_a_silence_takes_back_what_was_shown_and_its_end_brings_back_what_stands(
    engine: Engine, batches: list[list[Event]], expected: list[Told]
) -> None:
    applied(engine, *batches)
    assert frames(engine, ANA) == expected
    assert frames(engine, BEN) == []


def test_a_block_takes_each_notification_of_both_back_once(engine: Engine) -> None:
    own = published(2, BEN)
    comment = commented(3, ANA, own)
    applied(
        engine,
        [A_LIKE, requested(4, BEN, ANA), followed(5, CLEO, ANA)],
        [comment, approved(6, ANA, BEN)],
        [blocked(7, ANA, BEN, BEN), followed(8, CLEO, BEN)],
        [unblocked(9, ANA, BEN)],
    )
    # What one partition brings at once is numbered by its cause; an approval answers the request.
    assert frames(engine, ANA) == [
        ("like", "set"), ("follow_request", "set"), ("follow", "set"), ("follow_request", "remove"),
        ("like", "remove"), ("like", "set"),
    ]  # fmt: skip
    told = frames(engine, BEN)
    assert told[:2] == [("comment", "set"), ("follow_approved", "set")]
    # In one batch: the approval is taken back, Cleo's follow comes, the comment is hidden.
    assert sorted(told[2:5]) == [("comment", "remove"), ("follow", "set"), ("follow_approved", "remove")]
    assert told[5:] == [("comment", "set")]
    heads = dict(engine.rows("select recipient_id, seq from delivery.head"))
    last = dict(engine.rows("select recipient_id, max(seq) from delivery.frame group by 1"))
    assert heads == last


SET_AT, REMOVE_AT = ("mention", "set"), ("mention", "remove")
AT_CLEOS = commented(2, BEN, UNDER, mentioned_ids=(ANA,))


@pytest.mark.parametrize(
    ("batches", "expected"),
    [
        pytest.param([[AT_CLEOS], [blocked(3, ANA, CLEO)]], [SET_AT, REMOVE_AT], id="blocked"),
        pytest.param([[AT_CLEOS], [blocked(3, CLEO, ANA)]], [SET_AT, REMOVE_AT], id="blocked by"),
        pytest.param([[AT_CLEOS], [blocked(3, CLEO, BEN)]], [SET_AT], id="another pair"),
        pytest.param([[AT_CLEOS], [muted(3, ANA, CLEO)]], [SET_AT], id="muted, which concerns what they do"),
        pytest.param([[blocked(1, ANA, CLEO)], [AT_CLEOS]], [], id="while blocked"),
        pytest.param(
            [[blocked(1, ANA, CLEO)], [AT_CLEOS], [unblocked(3, ANA, CLEO)]], [SET_AT], id="shown later"
        ),
        pytest.param(
            [[muted(1, ANA, CLEO)], [AT_CLEOS], [blocked(3, ANA, CLEO)], [unblocked(4, ANA, CLEO)]],
            [SET_AT, REMOVE_AT, SET_AT],
            id="muted all the while",
        ),
        pytest.param(
            [[AT_CLEOS], [blocked(3, ANA, CLEO)], [blocked(4, CLEO, ANA)], [unblocked(5, ANA, CLEO)],
             [unblocked(6, CLEO, ANA)]],
            [SET_AT, REMOVE_AT, SET_AT],
            id="until the last reason ends",
        ),
        pytest.param(
            [[AT_CLEOS], [muted(3, ANA, BEN)], [blocked(4, ANA, CLEO)], [unmuted(5, ANA, BEN)],
             [unblocked(6, ANA, CLEO)]],
            [SET_AT, REMOVE_AT, SET_AT],
            id="until neither actor nor author is silent",
        ),
        pytest.param(
            [[AT_CLEOS], [muted(3, ANA, BEN), blocked(4, ANA, CLEO)], [unmuted(5, ANA, BEN), unblocked(6, ANA, CLEO)]],
            [SET_AT, REMOVE_AT, SET_AT],
            id="both at once",
        ),
        pytest.param(
            [[commented(2, BEN, UNDER), comment_edited(3, AT_CLEOS, newly_mentioned_ids=(ANA,))],
             [blocked(4, ANA, CLEO)], [unblocked(5, ANA, CLEO)]],
            [SET_AT, REMOVE_AT, SET_AT],
            id="mentioned by an edit",
        ),
    ],
)  # fmt: skip
def test_a_block_hides_also_what_others_do_at_the_others_posts(
    engine: Engine, batches: list[list[Event]], expected: list[Told]
) -> None:
    applied(engine, *batches)
    assert frames(engine, ANA) == expected


def test_only_what_is_written_takes_a_number(engine: Engine) -> None:
    """A hole at the end looks like a frame that was lost, and makes the purger count too many."""
    applied(
        engine,
        [muted(2, ANA, BEN)],
        [liked(3, BEN, POST), liked(4, CLEO, POST)],
        [liked(5, BEN, POST, "love")],
        [unmuted(6, ANA, BEN)],
        [muted(7, ANA, BEN)],
        [liked(8, BEN, POST)],
    )
    assert engine.rows("select seq from delivery.frame order by seq") == [(1,), (2,), (3,)]
    assert engine.rows("select seq from delivery.head where recipient_id = %s", ANA) == [(3,)]


@asynccontextmanager
async def two(engine: Engine) -> AsyncIterator[tuple[AsyncConnection[Any], AsyncConnection[Any]]]:
    url = engine.environment.read_database_url
    async with await connect(url) as one, await connect(url) as other:
        yield one, other


@pytest.mark.parametrize(
    ("before", "first", "second", "expected"),
    [
        pytest.param([], A_LIKE, muted(3, ANA, BEN), [SET, REMOVE], id="like, then mute"),
        pytest.param([], muted(3, ANA, BEN), A_LIKE, [], id="mute, then like"),
        pytest.param([], A_LIKE, blocked(3, BEN, ANA), [SET, REMOVE], id="like, then block"),
        pytest.param([], blocked(3, BEN, ANA), A_LIKE, [], id="block, then like"),
        pytest.param([muted(1, ANA, BEN)], A_LIKE, unmuted(3, ANA, BEN), [SET], id="like, then unmute"),
        pytest.param([muted(1, ANA, BEN)], unmuted(3, ANA, BEN), A_LIKE, [SET], id="unmute, then like"),
        pytest.param([A_LIKE], unliked(4, BEN, POST), muted(3, ANA, BEN), [SET, REMOVE], id="unlike, then mute"),
        pytest.param([A_LIKE], muted(3, ANA, BEN), unliked(4, BEN, POST), [SET, REMOVE], id="mute, then unlike"),
    ],
)
def test_two_workers_at_once_see_each_others_work(
    engine: Engine, before: list[Event], first: Event, second: Event, expected: list[Told]
) -> None:
    """The second statement begins, and takes its snapshot, before the first is committed."""

    async def scenario() -> None:
        async with two(engine) as (one, other):
            if before:
                await apply(one, 0, *before)
            # Somebody else's like, so that there is a row of the recipient's to wait for in every case.
            await apply(one, 1, liked(2, CLEO, POST))
            async with one.transaction():
                await apply(one, 2, first)
                waiting = asyncio.create_task(apply(other, 3, second))
                while not engine.rows(
                    "select 1 from pg_stat_activity where pid = %s and wait_event_type = 'Lock'",
                    other.info.backend_pid,
                ):
                    assert not waiting.done()
                    await asyncio.sleep(0.01)
            await waiting

    asyncio.run(scenario())
    told = engine.rows(
        "select operation from delivery.frame where recipient_id = %s and notification_id = %s order by seq", ANA, LIKE
    )
    assert [("like", operation) for (operation,) in told] == expected
