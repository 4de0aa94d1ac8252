"""Claim: the statement that moves a position past a record sets it aside, and a step that moves nothing takes it back;
the breaker counts in the table, whoever asks.

Oracle: the tables of a real PostgreSQL, read by plain queries. Worker, parking and store are those of a live worker,
fed by hand. Cannot catch: what Kafka and Faust add, which tests/integration/test_parking.py shows.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

import pytest

from projectors.counters.fold import PROJECTION, fold
from projectors.runtime.parking import Parking
from projectors.runtime.parking_lot import Aside, ParkingLot
from projectors.runtime.projector import Projector
from projectors.runtime.settings import WorkerSettings
from projectors.runtime.sifting import parked_of
from projectors.runtime.stores.port import Advance, Outcome, Partition
from projectors.runtime.stores.postgres import PostgresStore, connect
from projectors.runtime.worker import Fetched, Holdings, PositionError, Worker
from schemas.catalogue import event_schemas
from schemas.codec import Codec
from schemas.types import Event, PostBookmarked, PostLiked, PostUnbookmarked, PostUnliked
from shared.ids import time_of
from shared.kafka import record_key
from tests.runtime.engine import Engine, Ids
from tests.schemas.events import plainly, unsealed

HERE = Partition("engagement", 1)
CODEC = Codec({name: number for number, name in enumerate(event_schemas(), start=1)})
NO_TIME = -(1 << 60)  # microseconds: a number like any other, and before PostgreSQL's first timestamp
NO_NUMBER = -(1 << 63)  # beyond what eight bytes hold, counted from PostgreSQL's epoch


class Record(NamedTuple):
    offset: int
    key: bytes | None
    value: bytes | None


class Reader:
    async def load_keys(self, values: Sequence[bytes]) -> None: ...

    def require_subject(self, value: bytes) -> None: ...

    def type_name(self, value: bytes) -> str:
        return CODEC.type_name(value)

    def read(self, values: Sequence[bytes]) -> list[Event]:
        return [CODEC.decode(value, unsealed) for value in values]


class Driven:
    """One worker of the counters with one partition, driven by hand."""

    def __init__(self, engine: Engine, **settings: float) -> None:
        self.engine = engine
        self.faults: set[UUID] = set()
        self._settings = WorkerSettings(**{"check_seconds": 0.05, **settings})
        self._at = 0

    async def begin(self) -> None:
        """Fences the partition as a worker does that has just been given it."""
        url = self.engine.environment.read_database_url
        projection = replace(PROJECTION, fold=self._fold)
        self.store = PostgresStore(projection, url, "test", retry_seconds=5)
        fences = await self.store.fence([HERE], self._beginning)
        self.holdings = Holdings()
        self.holdings.take(fences)
        self.lot = ParkingLot("counters", partial(connect, url))
        reader: Any = Reader()
        self.parking = Parking(projection, self.store, reader, self.lot, self.holdings, self._settings)
        self.worker = Worker(Projector(projection, self.store, reader), self.holdings, lambda _: None, self.parking)

    async def close(self) -> None:
        await self.store.close()
        await self.lot.close()

    async def take(self, *events: Event | bytes) -> None:
        records = [
            Record(self._at + index, None, event)
            if isinstance(event, bytes)
            else Record(self._at + index, record_key(event.subject_id, event.event_id), CODEC.encode(event, plainly))
            for index, event in enumerate(events)
        ]
        following = self._at + len(records)
        batch = Fetched(HERE, self._at, following, self.holdings.epochs[HERE], 1, records)
        self._at = following
        await self.worker.take(batch)
        await self.worker.finish()

    async def tend(self) -> None:
        await self.parking.tend(self.worker.alone)

    def parked(self) -> list[tuple[Any, ...]]:
        return self.engine.rows("select record_offset, state from counters.parked order by record_offset")

    def position(self) -> int:
        [(offset,)] = self.engine.rows("select next_offset from counters.position")
        return int(offset)

    def likes(self) -> int:
        [(likes,)] = self.engine.rows("select coalesce(sum(likes), 0)::int from counters.post_count")
        return int(likes)

    def _fold(self, events: Sequence[Event]) -> Any:
        if any(event.subject_id in self.faults for event in events):
            raise KeyError("secret words")
        return fold(events)

    async def _beginning(self, partitions: Sequence[Partition]) -> dict[Partition, int]:
        return dict.fromkeys(partitions, 0)


class Post:
    """One post and what people do to it."""

    def __init__(self, seed: int) -> None:
        self.ids = Ids(seed)
        self.post_id, self.author_id, *self.people = self.ids.many(12)

    def by(self, kind: Any, actor: UUID, occurred_at: int | None = None, **more: Any) -> Any:
        event_id = self.ids()
        return kind(
            event_id=event_id, occurred_at=occurred_at or time_of(event_id), subject_id=actor,
            post_id=self.post_id, post_author_id=self.author_id, **more,
        )  # fmt: skip

    def like(self, actor: UUID) -> Any:
        return self.by(PostLiked, actor, reaction="like")

    def keep(self, actor: UUID, occurred_at: int | None = None) -> Any:
        return self.by(PostBookmarked, actor, occurred_at)


Scenario = Callable[[Driven], Coroutine[Any, Any, None]]


async def soon(what: Callable[[], bool]) -> None:
    """Waits until it is so; whoever calls bounds the time."""
    while not what():  # noqa: ASYNC110 (what is waited for knows nothing of events)
        await asyncio.sleep(0.01)


def drive(engine: Engine, scenario: Scenario, **settings: float) -> None:
    async def run() -> None:
        driven = Driven(engine, **settings)
        await driven.begin()
        try:
            await asyncio.wait_for(scenario(driven), 120)
        finally:
            await driven.close()

    asyncio.run(run())


def test_what_cannot_be_stored_is_found_in_its_batch_and_parked_in_passing(counters: Engine) -> None:
    post = Post(1)
    ana, ben, *others = post.people
    # One that no array holds, one that PostgreSQL refuses, one that its fold refuses, and bytes of nothing.
    unpacked, refused = post.keep(ana, NO_NUMBER), post.keep(ben, NO_TIME)

    async def scenario(driven: Driven) -> None:
        driven.faults = {others[0]}
        await driven.take(
            *map(post.like, others[1:4]), unpacked, post.like(others[4]), refused, post.by(PostUnbookmarked, ana),
            b"nothing", post.like(others[0]), post.like(others[5]), post.like(ben),
        )  # fmt: skip
        assert driven.parked() == [(3, "poison"), (5, "poison"), (6, "behind"), (7, "poison"), (8, "poison")]
        assert (driven.position(), driven.likes()) == (11, 6)
        reasons = dict(counters.rows("select record_offset, reason from counters.parked"))
        assert reasons[3].startswith("apply: error at projectors/runtime/stores/arrays.py:")
        assert reasons[5] == "apply: DatetimeFieldOverflow (SQLSTATE 22008)"
        assert reasons[7] == "decode: first byte is 110, not 0"
        assert reasons[8].startswith("fold: KeyError at ")
        assert "secret" not in str(reasons)
        # What comes later waits only behind its own.
        await driven.take(post.by(PostUnliked, others[0]), post.like(others[6]), post.by(PostUnliked, others[1]))
        assert driven.parked()[5:] == [(11, "behind")]
        assert (driven.position(), driven.likes()) == (14, 6)

    drive(counters, scenario)


def test_a_new_owner_knows_what_is_parked_before_it_applies_anything(counters: Engine) -> None:
    post = Post(2)
    ana = post.people[0]

    async def scenario(driven: Driven) -> None:
        await driven.take(post.keep(ana, NO_TIME))
        await driven.close()
        await driven.begin()
        await driven.take(post.keep(ana), post.like(ana))
        assert driven.parked() == [(0, "poison"), (1, "behind")]

    drive(counters, scenario)


def test_a_retry_follows_the_order_and_what_is_dropped_lets_the_others_by(counters: Engine) -> None:
    post = Post(3)
    ana, ben = post.people[:2]

    async def scenario(driven: Driven) -> None:
        driven.faults = {ana}
        await driven.take(post.like(ana), post.by(PostUnliked, ana), post.like(ana), post.keep(ben, NO_TIME))
        await driven.take(post.keep(ben))
        assert driven.parked() == [(0, "poison"), (1, "behind"), (2, "behind"), (3, "poison"), (4, "behind")]
        # Of one that was asked for too early: it stays where it is.
        counters.execute("update counters.parked set retry_at = now() where record_offset in (0, 2)")
        await driven.tend()
        assert driven.parked()[0] == (0, "poison")
        assert counters.rows("select attempts, retry_at from counters.parked where record_offset = 0") == [(2, None)]
        driven.faults.clear()
        counters.execute("update counters.parked set retry_at = now() where record_offset = 0")
        await driven.tend()
        assert driven.parked() == [(3, "poison"), (4, "behind")]
        assert (driven.position(), driven.likes()) == (5, 1)
        counters.execute("delete from counters.parked where record_offset = 3")
        await driven.tend()
        assert driven.parked() == []
        assert counters.rows("select active from counters.bookmark") == [(True,)]
        # And nothing is held up any more.
        await driven.take(post.by(PostUnliked, ana), post.by(PostUnbookmarked, ben))
        assert (driven.parked(), driven.likes(), driven.position()) == ([], 0, 7)
        assert counters.rows("select active from counters.bookmark") == [(False,)]

    drive(counters, scenario)


def _stopped_with(driven: Driven, number: int) -> bool:
    return driven.parking.stopped and len(driven.parked()) == number


def test_the_breaker_outlives_the_worker_and_waits_for_a_person(counters: Engine) -> None:
    post = Post(4)

    async def scenario(driven: Driven) -> None:
        taking = asyncio.create_task(driven.take(*(post.keep(person, NO_TIME) for person in post.people)))
        for number in (3, 6, 9):
            await soon(partial(_stopped_with, driven, number))
            assert (driven.position(), driven.parking.unmoved()) == (number, {HERE})
            [(why,)] = counters.rows("select why from counters.breaker where stopped_at is not null")
            assert why.startswith("more than 3 records would be parked within 300 s; the next: Unstorable (")
            counters.execute("update counters.breaker set stopped_at = null, resumed_at = clock_timestamp()")
        await taking
        assert (len(driven.parked()), driven.position()) == (10, 10)

    drive(counters, scenario, parked_records_max=3)


def test_a_step_that_is_refused_sets_nothing_aside_and_takes_nothing_back(counters: Engine) -> None:
    post = Post(5)

    async def scenario(driven: Driven) -> None:
        await driven.take(post.keep(post.people[0], NO_TIME))
        value = CODEC.encode(post.like(post.people[1]), plainly)
        more = Aside([parked_of(HERE, Record(1, None, value), (), "PostLiked", None)], [0])
        for step in (Advance(HERE, 0, 2, 1), Advance(HERE, 1, 2, 7)):
            assert await driven.store.apply_aside(step, fold([]), more) is Outcome.REFUSED
        assert driven.parked() == [(0, "poison")]
        # One that has lost its partition neither parks nor stops it.
        await driven.store.fence([HERE], driven._beginning)
        with pytest.raises(PositionError):
            await driven.take(post.keep(post.people[2], NO_TIME))
        assert (driven.parked(), driven.position()) == ([(0, "poison")], 1)

    drive(counters, scenario)


def test_an_erased_persons_parked_records_are_swept(counters: Engine) -> None:
    from projectors.runtime.erasure import Sweeper

    post = Post(6)
    ana, ben = post.people[:2]

    class NoEnds:
        def partitions(self, topics: Any) -> list[Partition]:
            return []

        def ends(self, partitions: Any) -> dict[Partition, int]:
            return {}

    async def scenario(driven: Driven) -> None:
        await driven.take(post.keep(ana, NO_TIME), post.keep(ben, NO_TIME))
        counters.execute(f"insert into counters.erased (user_id, event_id) values ('{ana}', '{post.ids()}')")
        ends: Any = NoEnds()
        connection = await connect(counters.environment.read_database_url)
        await Sweeper(PROJECTION, counters.environment, ends).step(connection)
        await connection.close()
        assert driven.parked() == [(1, "poison")]
        assert counters.rows("select rows_deleted ->> 'parked', done_at is null from counters.erased") == [("1", False)]

    drive(counters, scenario)
