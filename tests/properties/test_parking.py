"""Claim: whatever records cannot be applied, for whatever reason and however they are batched, they and what shares a
key with them are set aside, all else is applied, and what is applied of a key is applied in the order of the log; once
the fault is mended, a retry gives what a log without faults would have given.

Oracle: a loop over the records, one by one, that parks or applies; and the fold of all events at once. The worker and
its parking are the real ones, over a store and a table of parked records in memory. Cannot catch: what the SQL does,
which tests/integration/test_parking.py shows.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from projectors.runtime.parking import Parking
from projectors.runtime.parking_keys import parking_keys
from projectors.runtime.parking_lot import BEHIND, POISON, Aside, Breaker, Parked, Recent
from projectors.runtime.projector import Projector
from projectors.runtime.settings import WorkerSettings
from projectors.runtime.stores.port import Advance, Outcome, Partition, Unstorable
from projectors.runtime.worker import Fetched, Holdings, Worker
from schemas.catalogue import event_schemas
from schemas.codec import Codec
from schemas.types import Event, PostLiked, UserErased
from shared.kafka import record_key
from tests.properties.histories import delivered_histories
from tests.properties.interpretation import Tables
from tests.properties.projections import POSTGRES_PROJECTIONS, PROJECTION_NAMES
from tests.runtime.engine import NOON, Ids
from tests.schemas.events import plainly, unsealed

HERE, THERE = Partition("engagement", 0), Partition("engagement", 1)
CODEC = Codec({name: number for number, name in enumerate(event_schemas(), start=1)})
UNREADABLE, UNFOLDABLE, UNSTORABLE = "unreadable", "unfoldable", "unstorable"
SETTINGS = WorkerSettings(parked_records_max=10_000, parked_causes_max=10_000)
LANES = 2
TURNS_MAX = 200  # of the event loop: all that can happen without waiting has happened by then
SOME_DAY = datetime(2026, 9, 1, tzinfo=UTC)


class Record(NamedTuple):
    offset: int
    key: bytes | None
    value: bytes | None


class Reader:
    """Decodes with the real codec, text as it stands; `meanwhile` is called where a real one waits for keys."""

    def __init__(self) -> None:
        self.meanwhile: Callable[[], None] = lambda: None

    async def load_keys(self, values: Sequence[bytes]) -> None:
        self.meanwhile()

    def require_subject(self, value: bytes) -> None: ...

    def type_name(self, value: bytes) -> str:
        return CODEC.type_name(value)

    def read(self, values: Sequence[bytes]) -> list[Event]:
        return [CODEC.decode(value, unsealed) for value in values]


@dataclass
class Lot:
    """The table of parked records, by place."""

    lying: dict[tuple[Partition, int], Parked] = field(default_factory=dict)
    stopped_at: datetime | None = None

    async def of(self, partitions: Iterable[Partition]) -> list[Parked]:
        return [self.lying[where] for where in sorted(self.lying)]

    async def breaker(self) -> Breaker:
        await asyncio.sleep(0)
        return Breaker(self.stopped_at)

    async def stop(self, why: str) -> None:
        self.stopped_at = SOME_DAY

    async def recent(self, seconds: float) -> Recent:
        found = Recent(sum(each.state == POISON for each in self.lying.values()))
        await asyncio.sleep(0)  # the answer is as old as its way is long
        return found

    async def failed_again(self, record: Parked) -> None:
        self.put(replace(record, retry_at=None, attempts=record.attempts + 1))

    async def waits_behind(self, record: Parked) -> None:
        self.put(replace(record, state=BEHIND, retry_at=None))

    def put(self, record: Parked) -> None:
        self.lying[record.place, record.record_offset] = record

    def ask_for_all(self) -> None:
        self.lying = {where: replace(each, retry_at=SOME_DAY) for where, each in self.lying.items()}

    def states(self, place: Partition) -> dict[int, str]:
        """By offset, how what is parked of a partition lies there."""
        return {offset: each.state for (where, offset), each in self.lying.items() if where == place}


class Store:
    """Tables in memory behind a compare-and-set, refusing some events' changes as they are. Other batches are folded,
    or applied, while a statement is under way."""

    def __init__(self, tables: Tables, lot: Lot, faults: Mapping[UUID, str]) -> None:
        self.tables, self.lot, self.faults = tables, lot, faults
        self.offsets = {HERE: 0, THERE: 0}
        self.order: dict[Partition, list[Event]] = {HERE: [], THERE: []}

    async def apply(self, advance: Advance, changes: Any) -> Outcome:
        return await self.apply_aside(advance, changes, None)

    async def apply_aside(self, advance: Advance, changes: Any, aside: Aside | None) -> Outcome:
        events, folded = changes
        await asyncio.sleep(0)
        if any(self.faults.get(event.event_id) == UNSTORABLE for event in events):
            raise Unstorable from OverflowError()
        place = advance.partition
        assert advance.previous == self.offsets[place], "a step that does not follow"
        self.offsets[place] = advance.next
        self.tables.apply(folded)
        self.order[place] += events
        if aside is not None:
            for each in aside.parked:
                self.lot.put(each)
            for offset in aside.released:
                del self.lot.lying[place, offset]
        return Outcome.APPLIED


class System:
    """One worker with two partitions of one projection, of which some events have faults, and a lane for each."""

    def __init__(self, name: str, faults: Mapping[UUID, str], settings: WorkerSettings = SETTINGS) -> None:
        self.faults = dict(faults)
        self.projection = replace(POSTGRES_PROJECTIONS[name], fold=self._fold)
        self._real_fold = POSTGRES_PROJECTIONS[name].fold
        self.lot = Lot()
        self.store: Any = Store(Tables(self.projection.tables), self.lot, self.faults)
        self.holdings = Holdings({HERE: 1, THERE: 1}, {HERE: 0, THERE: 0})
        self.reader = reader = Reader()
        lot = self.lot
        self.parking = Parking(self.projection, self.store, reader, lot, self.holdings, settings)  # type: ignore[arg-type]
        projector = Projector(self.projection, self.store, reader)  # type: ignore[arg-type]
        self.worker = Worker(projector, self.holdings, lambda error: None, self.parking, LANES)

    def _fold(self, events: Sequence[Event]) -> Any:
        if any(self.faults.get(event.event_id) == UNFOLDABLE for event in events):
            raise KeyError("a fault of the fold")
        return events, self._real_fold(events)

    async def deliver(self, batches: Sequence[tuple[Partition, Sequence[Record]]]) -> None:
        previous = {HERE: 0, THERE: 0}
        for place, batch in batches:
            following = batch[-1].offset + 1
            await self.worker.take(Fetched(place, previous[place], following, 1, 1, batch))
            previous[place] = following
        await self.worker.finish()

    async def mend(self) -> None:
        self.faults.clear()
        self.lot.ask_for_all()
        await self.parking.tend(self.worker.alone)


Batches = Sequence[tuple[Partition, Sequence[Event]]]


def in_partition(batches: Batches, place: Partition) -> list[Event]:
    return [event for where, batch in batches if where == place for event in batch]


def records_of(batches: Batches, faults: Mapping[UUID, str]) -> list[tuple[Partition, list[Record]]]:
    found, offsets = list[tuple[Partition, list[Record]]](), {HERE: 0, THERE: 0}
    for place, batch in batches:
        records = []
        for event in batch:
            value = CODEC.encode(event, plainly)
            if faults.get(event.event_id) == UNREADABLE:
                value = value[:9]
            records.append(Record(offsets[place], record_key(event.subject_id, event.event_id), value))
            offsets[place] += 1
        found.append((place, records))
    return found


def expected(events: Sequence[Event], faults: Mapping[UUID, str]) -> tuple[list[Event], dict[int, str]]:
    """The events of a partition that are applied, and how the offsets of the others are parked."""
    applied, parked, blocked = list[Event](), dict[int, str](), set[str]()
    for offset, event in enumerate(events):
        fault, keys = faults.get(event.event_id), set(parking_keys(event))
        if fault == UNREADABLE:
            parked[offset] = POISON
        elif keys & blocked and not isinstance(event, UserErased):
            parked[offset] = BEHIND
            blocked |= keys
        elif fault is not None:
            parked[offset] = POISON
            blocked |= keys
        else:
            applied.append(event)
    return applied, parked


def state_of(name: str, events: Sequence[Event]) -> Tables:
    tables = Tables(POSTGRES_PROJECTIONS[name].tables)
    tables.apply(POSTGRES_PROJECTIONS[name].fold(events))
    return tables


def assert_same(found: Tables, wanted: Tables) -> None:
    assert (found.groups, found.erased, found.gone) == (wanted.groups, wanted.erased, wanted.gone)


@st.composite
def faulty_deliveries(draw: DrawFn) -> tuple[Batches, dict[UUID, str]]:
    """Any delivery of any history by two partitions, with faults in some events. An erasure has none: it would halt the
    partition."""
    events, batches = draw(delivered_histories())
    may_fail = [event.event_id for event in events if not isinstance(event, UserErased)]
    kinds = st.sampled_from([UNREADABLE, UNFOLDABLE, UNSTORABLE])
    chosen = draw(st.lists(st.tuples(st.sampled_from(may_fail), kinds), max_size=6)) if may_fail else []
    places = draw(st.lists(st.sampled_from([HERE, THERE]), min_size=len(batches), max_size=len(batches)))
    return list(zip(places, batches, strict=True)), dict(chosen)


@pytest.mark.parametrize("name", PROJECTION_NAMES)
@given(drawn=faulty_deliveries())
def test_faults_are_parked_and_all_else_is_applied(name: str, drawn: tuple[Batches, dict[UUID, str]]) -> None:
    batches, faults = drawn
    system = System(name, faults)
    asyncio.run(system.deliver(records_of(batches, faults)))
    everything = []
    for place in (HERE, THERE):
        events = in_partition(batches, place)
        applied, parked = expected(events, faults)
        everything += applied
        assert system.lot.states(place) == parked
        assert system.store.order[place] == applied
        assert system.store.offsets[place] == len(events)
    assert_same(system.store.tables, state_of(name, everything))


@pytest.mark.parametrize("name", PROJECTION_NAMES)
@given(drawn=faulty_deliveries())
def test_a_retry_after_the_fault_is_mended_gives_what_the_log_says(
    name: str, drawn: tuple[Batches, dict[UUID, str]]
) -> None:
    batches, faults = drawn
    system = System(name, faults)

    async def run() -> None:
        await system.deliver(records_of(batches, faults))
        await system.mend()

    asyncio.run(run())
    everything = []
    for place in (HERE, THERE):
        events = in_partition(batches, place)
        readable = [event for event in events if faults.get(event.event_id) != UNREADABLE]
        everything += readable
        left = {offset for offset, event in enumerate(events) if faults.get(event.event_id) == UNREADABLE}
        assert system.lot.states(place).keys() == left
        # Of every key, each delivery in its turn: what waited has kept its place.
        for key in {key for event in readable for key in parking_keys(event)}:
            in_log = [event for event in readable if key in parking_keys(event) and not isinstance(event, UserErased)]
            done = [event for event in system.store.order[place] if key in parking_keys(event)]
            assert [event for event in done if not isinstance(event, UserErased)] == in_log
    assert_same(system.store.tables, state_of(name, everything))
    assert not system.parking.unmoved()


def test_a_partition_that_is_revoked_during_a_retry_is_left_to_its_next_owner() -> None:
    (like,) = likes(1)
    faults = {like.event_id: UNFOLDABLE}
    system = System("counters", faults)

    async def run() -> None:
        await system.deliver(records_of([(HERE, [like])], faults))
        system.reader.meanwhile = system.holdings.forget
        await system.mend()

    asyncio.run(run())
    assert [each.attempts for each in system.lot.lying.values()] == [1]
    assert system.store.order == {HERE: [], THERE: []}


def test_the_breaker_counts_what_two_lanes_park_at_once() -> None:
    here, there = likes(2)
    faults = dict.fromkeys((here.event_id, there.event_id), UNFOLDABLE)
    system = System("counters", faults, WorkerSettings(parked_records_max=1, parked_causes_max=10_000))

    async def run() -> None:
        delivering = asyncio.create_task(system.deliver(records_of([(HERE, [here]), (THERE, [there])], faults)))
        for _ in range(TURNS_MAX):
            await asyncio.sleep(0)
        assert not delivering.done(), "it waits until a person lets it go on"
        delivering.cancel()

    asyncio.run(run())
    assert system.lot.stopped_at is not None
    assert len(system.lot.lying) == 1


def likes(number: int) -> list[PostLiked]:
    """Likes of as many posts by as many people."""
    ids = Ids()
    return [
        PostLiked(
            event_id=ids(), occurred_at=NOON, subject_id=ids(), post_id=ids(), post_author_id=ids(), reaction="like"
        )
        for _ in range(number)
    ]


@pytest.mark.parametrize("name", PROJECTION_NAMES)
@given(drawn=delivered_histories())
def test_what_sets_the_same_columns_of_a_row_shares_a_key(
    name: str, drawn: tuple[list[Event], list[list[Event]]]
) -> None:
    setters: dict[Any, list[Event]] = {}
    for event in drawn[0]:
        for table, rows in POSTGRES_PROJECTIONS[name].fold([event]).rows.items():
            for key, groups in rows.items():
                for group in groups:
                    setters.setdefault((table, key, group), []).append(event)
    for (table, key, group), events in setters.items():
        for one in events:
            for other in events:
                assert set(parking_keys(one)) & set(parking_keys(other)), (table, key, group, one, other)
