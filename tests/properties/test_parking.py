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

HERE = Partition("engagement", 0)
CODEC = Codec({name: number for number, name in enumerate(event_schemas(), start=1)})
UNREADABLE, UNFOLDABLE, UNSTORABLE = "unreadable", "unfoldable", "unstorable"
SETTINGS = WorkerSettings(parked_records_max=10_000, parked_causes_max=10_000)


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
    """The table of parked records."""

    lying: dict[int, Parked] = field(default_factory=dict)

    async def of(self, partitions: Iterable[Partition]) -> list[Parked]:
        return [self.lying[offset] for offset in sorted(self.lying)]

    async def breaker(self) -> Breaker:
        return Breaker()

    async def recent(self, seconds: float) -> Recent:
        return Recent(0)

    async def failed_again(self, record: Parked) -> None:
        self.lying[record.record_offset] = replace(record, retry_at=None, attempts=record.attempts + 1)

    async def waits_behind(self, record: Parked) -> None:
        self.lying[record.record_offset] = replace(record, state=BEHIND, retry_at=None)

    def ask_for_all(self) -> None:
        now = datetime(2026, 9, 1, tzinfo=UTC)
        self.lying = {offset: replace(each, retry_at=now) for offset, each in self.lying.items()}


class Store:
    """Tables in memory behind a compare-and-set, which refuse some events' changes as they are."""

    def __init__(self, tables: Tables, lot: Lot, faults: Mapping[UUID, str]) -> None:
        self.tables, self.lot, self.faults = tables, lot, faults
        self.offset = 0
        self.order: list[Event] = []

    async def apply(self, advance: Advance, changes: Any) -> Outcome:
        return await self.apply_aside(advance, changes, None)

    async def apply_aside(self, advance: Advance, changes: Any, aside: Aside | None) -> Outcome:
        events, folded = changes
        if any(self.faults.get(event.event_id) == UNSTORABLE for event in events):
            raise Unstorable from OverflowError()
        assert advance.previous == self.offset, "a step that does not follow"
        self.offset = advance.next
        self.tables.apply(folded)
        self.order += events
        if aside is not None:
            self.lot.lying |= {each.record_offset: each for each in aside.parked}
            for offset in aside.released:
                del self.lot.lying[offset]
        return Outcome.APPLIED


class System:
    """One worker with one partition of one projection, of which some events have faults."""

    def __init__(self, name: str, faults: Mapping[UUID, str]) -> None:
        self.faults = dict(faults)
        self.projection = replace(POSTGRES_PROJECTIONS[name], fold=self._fold)
        self._real_fold = POSTGRES_PROJECTIONS[name].fold
        self.lot = Lot()
        self.store: Any = Store(Tables(self.projection.tables), self.lot, self.faults)
        self.holdings = Holdings({HERE: 1}, {HERE: 0})
        self.reader = reader = Reader()
        lot = self.lot
        self.parking = Parking(self.projection, self.store, reader, lot, self.holdings, SETTINGS)  # type: ignore[arg-type]
        projector = Projector(self.projection, self.store, reader)  # type: ignore[arg-type]
        self.worker = Worker(projector, self.holdings, lambda error: None, self.parking)

    def _fold(self, events: Sequence[Event]) -> Any:
        if any(self.faults.get(event.event_id) == UNFOLDABLE for event in events):
            raise KeyError("a fault of the fold")
        return events, self._real_fold(events)

    async def deliver(self, batches: Sequence[Sequence[Record]]) -> None:
        previous = 0
        for batch in batches:
            following = batch[-1].offset + 1
            await self.worker.take(Fetched(HERE, previous, following, 1, 1, batch))
            previous = following
        await self.worker.finish()

    async def mend(self) -> None:
        self.faults.clear()
        self.lot.ask_for_all()
        await self.parking.tend(self.worker.alone)


def records_of(batches: Sequence[Sequence[Event]], faults: Mapping[UUID, str]) -> list[list[Record]]:
    found, offset = list[list[Record]](), 0
    for batch in batches:
        records = []
        for event in batch:
            value = CODEC.encode(event, plainly)
            if faults.get(event.event_id) == UNREADABLE:
                value = value[:9]
            records.append(Record(offset, record_key(event.subject_id, event.event_id), value))
            offset += 1
        found.append(records)
    return found


def expected(events: Sequence[Event], faults: Mapping[UUID, str]) -> tuple[list[Event], dict[int, str]]:
    """The events that are applied, and how the offsets of the others are parked."""
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
def faulty_deliveries(draw: DrawFn) -> tuple[list[list[Event]], dict[UUID, str]]:
    """Any delivery of any history, with faults in some events. An erasure has none: it would halt the partition."""
    events, batches = draw(delivered_histories())
    may_fail = [event.event_id for event in events if not isinstance(event, UserErased)]
    kinds = st.sampled_from([UNREADABLE, UNFOLDABLE, UNSTORABLE])
    chosen = draw(st.lists(st.tuples(st.sampled_from(may_fail), kinds), max_size=6)) if may_fail else []
    return batches, dict(chosen)


@pytest.mark.parametrize("name", PROJECTION_NAMES)
@given(drawn=faulty_deliveries())
def test_faults_are_parked_and_all_else_is_applied(name: str, drawn: tuple[list[list[Event]], dict[UUID, str]]) -> None:
    batches, faults = drawn
    events = [event for batch in batches for event in batch]
    system = System(name, faults)
    asyncio.run(system.deliver(records_of(batches, faults)))
    applied, parked = expected(events, faults)
    assert {offset: each.state for offset, each in system.lot.lying.items()} == parked
    assert system.store.order == applied
    assert system.store.offset == len(events)
    assert_same(system.store.tables, state_of(name, applied))


@pytest.mark.parametrize("name", PROJECTION_NAMES)
@given(drawn=faulty_deliveries())
def test_a_retry_after_the_fault_is_mended_gives_what_the_log_says(
    name: str, drawn: tuple[list[list[Event]], dict[UUID, str]]
) -> None:
    batches, faults = drawn
    system = System(name, faults)

    async def run() -> None:
        await system.deliver(records_of(batches, faults))
        await system.mend()

    asyncio.run(run())
    events = [event for batch in batches for event in batch]
    readable = [event for event in events if faults.get(event.event_id) != UNREADABLE]
    left = {offset for offset, event in enumerate(events) if faults.get(event.event_id) == UNREADABLE}
    assert system.lot.lying.keys() == left
    assert_same(system.store.tables, state_of(name, readable))
    # Of every key, each delivery in its turn: what waited has kept its place.
    for key in {key for event in readable for key in parking_keys(event)}:
        in_log = [event for event in readable if key in parking_keys(event) and not isinstance(event, UserErased)]
        done = [event for event in system.store.order if key in parking_keys(event)]
        assert [event for event in done if not isinstance(event, UserErased)] == in_log
    assert not system.parking.unmoved()


def test_a_partition_that_is_revoked_during_a_retry_is_left_to_its_next_owner() -> None:
    ids = Ids()
    like = PostLiked(
        event_id=ids(), occurred_at=NOON, subject_id=ids(), post_id=ids(), post_author_id=ids(), reaction="like"
    )
    faults = {like.event_id: UNFOLDABLE}
    system = System("counters", faults)

    async def run() -> None:
        await system.deliver(records_of([[like]], faults))
        system.reader.meanwhile = system.holdings.forget
        await system.mend()

    asyncio.run(run())
    assert [each.attempts for each in system.lot.lying.values()] == [1]
    assert system.store.order == []


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
