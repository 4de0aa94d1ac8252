"""Claim: each notification that came or went is one frame in its recipient's order, and who is online hears of it.

Oracle: the frames and hints written out by hand. Runs the notifications projection's own apply and a sender on a
PostgreSQL database of the test's own and the real Redis (database 9). Cannot catch: what a connection does with a hint.
"""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import psycopg
import pytest
import redis

from projectors.notifications.fold import PROJECTION, fold, notification_id
from projectors.runtime.erasure import Sweeper
from projectors.runtime.log_ends import LogEnds
from projectors.runtime.sender import FRAMES_PER_BATCH, ONLINE_KEY, Sender, channel_layer
from projectors.runtime.stores.port import Advance, Outcome, Partition
from projectors.runtime.stores.postgres import PostgresStore, connect
from schemas.types import Event, NotificationsRead, PostDeleted, UserErased
from shared.environment import REPOSITORY, Environment
from tests.runtime.engine import Engine, read_database
from tests.specs.fold_cases import (
    ANA,
    BEN,
    CLEO,
    DAN,
    at,
    comment_deleted,
    comment_edited,
    commented,
    edited,
    followed,
    identifier,
    liked,
    muted,
    published,
    unliked,
)

HERE = Partition("engagement", 0)
POST = published(1, ANA)
T = TypeVar("T")


@pytest.fixture(scope="module")
def engine(servers: Environment) -> Iterator[Engine]:
    with read_database(f"read_sender_test_{os.getpid()}", PROJECTION) as engine:
        yield engine


@pytest.fixture
def own_environment(engine: Engine) -> Iterator[Environment]:
    engine.execute("truncate delivery.frame, delivery.head, notifications.position, notifications.notification")
    engine.execute("truncate notifications.erased, notifications.gone, notifications.silence")
    url = urlunsplit(urlsplit(engine.environment.redis_url)._replace(path="/9"))
    with redis.Redis.from_url(url) as server:
        server.flushdb()
        yield replace(engine.environment, redis_url=url)
        server.flushdb()


async def applied(environment: Environment, *batches: list[Event]) -> None:
    """Applies each batch as the projection's live worker does."""
    store = PostgresStore(PROJECTION, environment.read_database_url, "test")

    async def from_zero(partitions: Any) -> dict[Partition, int]:
        return dict.fromkeys(partitions, 0)

    fence = (await store.fence([HERE], from_zero))[HERE]
    offset = fence.offset
    for events in batches:
        step = Advance(HERE, offset, offset + len(events), fence.epoch)
        assert await store.apply(step, fold(events)) is Outcome.APPLIED
        offset += len(events)
    await store.close()


def frames(engine: Engine) -> list[tuple[UUID, int, UUID, str]]:
    return engine.rows("select recipient_id, seq, notification_id, operation from delivery.frame order by 1, 2")


def like_of(actor: UUID) -> UUID:
    return notification_id(ANA, actor, "like", POST.post_id)


def test_frames_follow_the_causes_in_each_recipients_own_sequence(engine: Engine, own_environment: Environment) -> None:
    answer = commented(4, CLEO, POST, parent_id=POST.post_id, parent_author_id=BEN)
    asyncio.run(applied(own_environment, [liked(2, BEN, POST), liked(3, CLEO, POST), answer], [followed(5, DAN, ANA)]))
    assert frames(engine) == [
        (ANA, 1, like_of(BEN), "set"),
        (ANA, 2, like_of(CLEO), "set"),
        (ANA, 3, notification_id(ANA, CLEO, "comment", answer.comment_id), "set"),
        (ANA, 4, notification_id(ANA, DAN, "follow", ANA), "set"),
        (BEN, 1, notification_id(BEN, CLEO, "reply", answer.comment_id), "set"),
    ]
    assert engine.rows("select recipient_id, seq from delivery.head order by 1") == [(ANA, 4), (BEN, 1)]


@pytest.mark.parametrize(
    ("batches", "operations"),
    [
        pytest.param([[liked(2, BEN, POST)], [unliked(3, BEN, POST)]], ["set", "remove"], id="undone"),
        pytest.param([[liked(2, BEN, POST)], [liked(2, BEN, POST)]], ["set"], id="redelivered"),
        pytest.param([[liked(4, BEN, POST)], [liked(2, BEN, POST), unliked(3, BEN, POST)]], ["set"], id="late"),
        pytest.param([[liked(2, BEN, POST), unliked(3, BEN, POST)]], [], id="never seen"),
        pytest.param([[unliked(3, BEN, POST)], [liked(4, BEN, POST), unliked(5, BEN, POST)]], [], id="stays away"),
        pytest.param([[liked(2, BEN, POST)], [unliked(3, BEN, POST)], [liked(4, BEN, POST)]], ["set", "remove", "set"],
                     id="again"),
        pytest.param([[liked(2, BEN, POST)], [liked(3, BEN, POST, "love")]], ["set", "set"], id="another reaction"),
    ],
)  # fmt: skip
def test_only_what_came_or_went_is_told(
    engine: Engine, own_environment: Environment, batches: list[list[Event]], operations: list[str]
) -> None:
    asyncio.run(applied(own_environment, *batches))
    expected = [(ANA, seq, like_of(BEN), operation) for seq, operation in enumerate(operations, start=1)]
    assert frames(engine) == expected


def test_a_deleted_comment_is_removed_for_everyone_who_was_told(engine: Engine, own_environment: Environment) -> None:
    comment = commented(2, BEN, POST, mentioned_ids=(CLEO,))
    edit = comment_edited(3, comment, mentioned_ids=(CLEO, DAN), newly_mentioned_ids=(DAN,))
    deletion = comment_deleted(4, comment, mentioned_ids=(CLEO, DAN))
    asyncio.run(applied(own_environment, [comment], [edit], [deletion], [comment, edit]))
    assert frames(engine) == [
        (recipient, seq, notification_id(recipient, BEN, verb, comment.comment_id), operation)
        for recipient, verb in ((ANA, "comment"), (CLEO, "mention"), (DAN, "mention"))
        for seq, operation in ((1, "set"), (2, "remove"))
    ]


def test_an_edit_is_told_to_whom_it_mentions_first(engine: Engine, own_environment: Environment) -> None:
    post = published(2, ANA, mentioned_ids=(BEN,))
    edit = edited(3, post, mentioned_ids=(BEN, CLEO), newly_mentioned_ids=(CLEO,))
    asyncio.run(applied(own_environment, [post], [edit]))
    assert frames(engine) == [
        (recipient, 1, notification_id(recipient, ANA, "mention", post.post_id), "set") for recipient in (BEN, CLEO)
    ]


def test_read_marks_tell_nobody(engine: Engine, own_environment: Environment) -> None:
    read = at(3, NotificationsRead, ANA, notification_ids=(like_of(BEN), like_of(CLEO)))
    asyncio.run(applied(own_environment, [liked(2, BEN, POST)], [read]))
    assert frames(engine) == [(ANA, 1, like_of(BEN), "set")]
    asyncio.run(applied(own_environment, [liked(4, CLEO, POST)]))
    assert [seq for _, seq, _, _ in frames(engine)] == [1, 2]


class NoEnds(LogEnds):
    """Where no broker is asked: a sweep waits for no positions."""

    def __init__(self) -> None: ...

    def partitions(self, topics: Iterable[str]) -> list[Partition]:
        return []

    def ends(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        return {}


async def swept(environment: Environment) -> None:
    async with await connect(environment.read_database_url) as connection:
        sweeper = Sweeper(PROJECTION, environment, NoEnds())
        await sweeper.step(connection)
        await sweeper.step(connection)


def test_what_was_hidden_is_not_taken_back_again(engine: Engine, own_environment: Environment) -> None:
    """The muted person's like is swept with its post, and their follow with themselves."""
    asyncio.run(applied(own_environment, [muted(2, ANA, BEN)], [liked(3, BEN, POST), followed(4, BEN, ANA)]))
    asyncio.run(applied(own_environment, [at(5, PostDeleted, ANA, post_id=POST.post_id)], [at(6, UserErased, BEN)]))
    asyncio.run(swept(own_environment))
    assert frames(engine) == []
    for table in ("notification", "silence"):
        assert engine.rows(f"select count(*) from notifications.{table}") == [(0,)]


def test_who_is_erased_takes_along_what_others_did_at_their_posts(engine: Engine, own_environment: Environment) -> None:
    comment = commented(2, BEN, POST, mentioned_ids=(CLEO,))
    asyncio.run(applied(own_environment, [comment], [at(3, UserErased, ANA)]))
    asyncio.run(swept(own_environment))
    mention = notification_id(CLEO, BEN, "mention", comment.comment_id)
    assert [frame for frame in frames(engine) if frame[0] == CLEO] == [
        (CLEO, 1, mention, "set"), (CLEO, 2, mention, "remove"),
    ]  # fmt: skip


def test_what_a_deleted_post_or_an_erased_person_takes_along_is_taken_back(
    engine: Engine, own_environment: Environment
) -> None:
    """The sweeper's part: one frame for each notification that was there, none for whoever is erased themselves."""

    def operations(recipient: UUID) -> list[tuple[UUID, str]]:
        return [(notification, operation) for whose, _, notification, operation in frames(engine) if whose == recipient]

    undone: list[Event] = [liked(2, DAN, POST), unliked(3, DAN, POST)]
    asyncio.run(applied(own_environment, undone, [liked(4, BEN, POST), followed(5, CLEO, ANA), followed(6, ANA, CLEO)]))
    asyncio.run(applied(own_environment, [at(7, PostDeleted, ANA, post_id=POST.post_id)]))
    asyncio.run(swept(own_environment))
    follow = notification_id(ANA, CLEO, "follow", ANA)
    expected = [(like_of(BEN), "set"), (follow, "set"), (like_of(BEN), "remove")]
    assert operations(ANA) == expected
    asyncio.run(applied(own_environment, [at(8, UserErased, CLEO)]))
    asyncio.run(swept(own_environment))
    assert operations(ANA) == [*expected, (follow, "remove")]
    assert operations(CLEO) == [(notification_id(CLEO, ANA, "follow", CLEO), "set")]
    causes = engine.rows("select cause_event from delivery.frame where operation = 'remove' order by seq")
    assert causes == [(identifier(7),), (identifier(8),)]
    assert engine.rows("select seq from delivery.head where recipient_id = %s", ANA) == [(4,)]
    assert engine.rows("select count(*) from notifications.notification where recipient_id = %s", CLEO) == [(0,)]
    # A schema that is being rebuilt tells nobody.
    rebuilt = Sweeper(PROJECTION, own_environment, NoEnds(), schema="notifications_next")
    assert all("delivery" not in rebuilt.statement("gone", table, column) for table, column in rebuilt._sets["gone"][1])


def online(environment: Environment, *people: UUID, seconds: float = 30) -> None:
    with redis.Redis.from_url(environment.redis_url) as server:
        server.zadd(ONLINE_KEY, {person.hex: time.time() + seconds for person in people})


async def listening(environment: Environment, person: UUID) -> Callable[[float], Awaitable[dict[str, Any] | None]]:
    """A connection's ear: answers the next hint for the person, or None when none came in time."""
    layer: Any = channel_layer(environment.redis_url)
    channel = await layer.new_channel()
    await layer.group_add(f"user.{person.hex}", channel)

    async def next_hint(seconds: float) -> dict[str, Any] | None:
        try:
            return dict(await asyncio.wait_for(layer.receive(channel), seconds))
        except TimeoutError:
            return None

    return next_hint


async def drained(environment: Environment) -> int:
    sender = Sender(environment)
    async with await psycopg.AsyncConnection.connect(environment.read_database_url, autocommit=True) as connection:
        frames = await sender.drain(connection)
    await sender.close()
    return frames


def unsent(engine: Engine) -> int:
    return int(engine.rows("select count(*) from delivery.frame where not sent")[0][0])


def test_who_is_online_gets_one_hint_and_who_is_away_none(engine: Engine, own_environment: Environment) -> None:
    async def scenario() -> tuple[Any, ...]:
        online(own_environment, ANA)
        online(own_environment, BEN, seconds=-1)
        of_ana, of_ben = await listening(own_environment, ANA), await listening(own_environment, BEN)
        await applied(own_environment, [liked(2, BEN, POST), liked(3, CLEO, POST), followed(4, CLEO, BEN)])
        assert await drained(own_environment) == 3
        return await of_ana(2), await of_ana(0.2), await of_ben(0.2)

    assert asyncio.run(scenario()) == ({"type": "delivery.hint", "seq": 2}, None, None)
    assert unsent(engine) == 0


def test_frames_stay_unsent_while_redis_is_away(engine: Engine, own_environment: Environment) -> None:
    away = replace(own_environment, redis_url="redis://127.0.0.1:1/0")
    asyncio.run(applied(own_environment, [liked(2, BEN, POST)]))
    with pytest.raises(redis.ConnectionError):
        asyncio.run(drained(away))
    assert unsent(engine) == 1
    assert asyncio.run(drained(own_environment)) == 1
    assert unsent(engine) == 0


def test_frames_that_another_sender_has_taken_are_left_to_it(engine: Engine, own_environment: Environment) -> None:
    asyncio.run(applied(own_environment, [liked(2, BEN, POST), liked(3, CLEO, POST)]))
    with psycopg.connect(own_environment.read_database_url) as other:
        other.execute("select from delivery.frame where seq = 1 for update")
        assert asyncio.run(drained(own_environment)) == 1
    assert asyncio.run(drained(own_environment)) == 1


def test_a_backlog_for_people_who_are_away_is_marked_by_the_thousand(
    engine: Engine, own_environment: Environment
) -> None:
    frames_number = 8 * FRAMES_PER_BATCH
    engine.execute(
        f"""insert into delivery.frame (recipient_id, seq, notification_id, operation, cause_event)
            select gen_random_uuid(), 1, gen_random_uuid(), 'set', gen_random_uuid()
              from generate_series(1, {frames_number})"""
    )
    begin = time.monotonic()
    assert asyncio.run(drained(own_environment)) == frames_number
    rate = frames_number / (time.monotonic() - begin)
    print(f"{rate:,.0f} frames/s")
    assert unsent(engine) == 0
    assert rate > 5_000


@contextmanager
def process(environment: Environment, engine: Engine) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "projectors.runtime.sender"]
    environ = {**engine.environ, "REDIS_URL": environment.redis_url}
    with subprocess.Popen(
        command, cwd=REPOSITORY, env=environ, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def test_the_process_hints_at_once_and_ends_soon_when_told(engine: Engine, own_environment: Environment) -> None:
    async def scenario() -> tuple[Any, float, Any]:
        online(own_environment, ANA)
        of_ana = await listening(own_environment, ANA)
        await applied(own_environment, [liked(2, BEN, POST)])
        first = await of_ana(10)  # the process may still be starting
        begin = time.monotonic()
        await applied(own_environment, [liked(3, CLEO, POST)])
        second = await of_ana(5)
        return first, time.monotonic() - begin, second

    with process(own_environment, engine) as running:
        first, seconds, second = asyncio.run(scenario())
        assert (first["seq"], second["seq"]) == (1, 2)
        assert seconds < 0.9, "the notification was not heard, only the poll"
        # A server that drops the connection is connected to anew.
        engine.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where application_name = 'rookery-sender' and datname = current_database()"
        )
        asyncio.run(applied(own_environment, [liked(4, DAN, POST)]))
        deadline = time.monotonic() + 5
        while unsent(engine) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert unsent(engine) == 0
        begin = time.monotonic()
        running.send_signal(signal.SIGTERM)
        assert running.wait(5) == 0
        assert time.monotonic() - begin < 2


def test_a_process_without_servers_ends_soon_too(own_environment: Environment, engine: Engine) -> None:
    elsewhere = replace(engine, environ={**engine.environ, "READ_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"})
    with process(own_environment, elsewhere) as running:
        assert running.stdout is not None
        while "sender_waits" not in running.stdout.readline():
            pass
        begin = time.monotonic()
        running.send_signal(signal.SIGTERM)
        assert running.wait(5) == 0
        assert time.monotonic() - begin < 2
