"""What a worker does with records that cannot be applied: they are set aside, in order, and all else goes on.

A batch that goes through is never seen by this module; where nothing is parked, it costs a look into two dictionaries.
One that does not go through, or comes to a partition where something is parked, is sifted (runtime/sifting.py) and
applied step by step: what the store refuses is halved until single records are left. Records set aside lie in the
projection's own schema (runtime/parking_lot.py), and the step that passes one sets it aside.

Within a partition the order of a key is kept: what shares a key with a parked record is parked behind it, and follows
by itself once nothing stands before it. Between partitions there is no order to be kept. Only the owner of a partition
parks its records and takes them back; a person asks for it in the table (`rookery parked`), and the owner sees it
there.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

import structlog

from projectors.runtime.parking_lot import BEHIND, POISON, Aside, Breaker, Parked, ParkingLot
from projectors.runtime.projection import PostgresProjection, Projection
from projectors.runtime.retrying import retrying
from projectors.runtime.settings import WorkerSettings
from projectors.runtime.sifting import Folds, Record, Sifted, sift
from projectors.runtime.stores.port import Advance, Outcome, Partition, Store, Unstorable
from schemas.codec import MalformedRecord
from schemas.registration import RegistryAway

RELEASED_AT_ONCE_SECONDS = 1.0
SAID_AGAIN_SECONDS = 30.0
TRANSIENT_READING = (RegistryAway,)

StoreApply = Callable[[Advance, Any], Awaitable[Outcome]]
log = structlog.get_logger()


class Fetched(Protocol):
    """One partition's records as fetched, see runtime/worker.py."""

    @property
    def partition(self) -> Partition: ...
    @property
    def previous(self) -> int: ...
    @property
    def next(self) -> int: ...
    @property
    def epoch(self) -> int: ...
    @property
    def records(self) -> Sequence[Any]: ...


class Held(Protocol):
    """What the worker believes to hold, see runtime/worker.py `Holdings`."""

    epochs: dict[Partition, int]
    applied: dict[Partition, int]
    fence_wanted: bool

    def holds(self, fetched: Any) -> bool: ...


class Reading(Protocol):
    """What is used of runtime/reading.py `Reader`."""

    async def load_keys(self, values: Sequence[bytes]) -> None: ...
    def type_name(self, value: bytes) -> str: ...
    def require_subject(self, value: bytes) -> None: ...
    def read(self, values: Sequence[bytes]) -> list[Any]: ...


class AsideStore(Protocol):
    """A store that sets records aside in the same step, as the one in PostgreSQL does."""

    async def apply_aside(self, advance: Advance, changes: Any, aside: Aside | None) -> Outcome: ...


class PassedAfterParked:
    """Sets records aside beside a store that is elsewhere: parked first and passed then, applied first and taken back
    then, so that a crash in between repeats what is inert."""

    def __init__(self, store: Store, lot: ParkingLot) -> None:
        self._store = store
        self._lot = lot

    async def apply_aside(self, advance: Advance, changes: Any, aside: Aside | None) -> Outcome:
        if aside is not None and aside.parked:
            await self._lot.put(Aside(parked=aside.parked), advance.partition)
        outcome = await self._store.apply(advance, changes)
        if aside is not None and aside.released and outcome is not Outcome.REFUSED:
            await self._lot.put(Aside(released=aside.released), advance.partition)
        return outcome


class Parking:
    """One worker's share of a projection's parked records."""

    def __init__(
        self,
        projection: Projection,
        store: AsideStore,
        reader: Reading,
        lot: ParkingLot,
        holdings: Held,
        settings: WorkerSettings,
    ) -> None:
        self._projection = projection
        self._store = store
        self._reader = reader
        self._lot = lot
        self._holdings = holdings
        self._settings = settings
        self._folds = Folds(projection.fold, projection.parking_keys)
        self._keys: dict[Partition, set[str]] = {}  # of what is parked, in partitions where something is
        self._known_under: dict[Partition, int] = {}  # the epoch under which they were read
        self.halted: dict[Partition, Record] = {}  # what each halted partition stands before
        self.stopped = False  # by the breaker
        self._said_at: dict[str, float] = {}

    def ready_for(self, fetched: Fetched) -> bool:
        """Whether the batch may be applied, and nothing of its partition is parked."""
        place = fetched.partition
        return (
            self._known_under.get(place) == fetched.epoch
            and not self.stopped
            and place not in self.halted
            and not self._keys.get(place)
        )

    async def admits(self, fetched: Fetched) -> bool:
        """Whether the batch may be taken at all; waits while the projection is stopped."""
        if self._known_under.get(fetched.partition) != fetched.epoch:
            await self._learn()
        await self._while_stopped(fetched)
        return fetched.partition not in self.halted and self._holdings.holds(fetched)

    def unmoved(self) -> set[Partition]:
        """The partitions held that stand still on purpose."""
        return set(self._holdings.epochs) if self.stopped else set(self.halted)

    async def carefully(self, fetched: Any, apply: Callable[[Any, Any, StoreApply], Awaitable[None]]) -> None:
        """Applies a batch step by step, setting aside what cannot be applied.

        `apply` makes one step with the given function of a store. A record that may not be passed halts the partition
        right before it.
        """
        refused: dict[int, BaseException] = {}
        waiting = [fetched]
        while waiting:
            step = waiting.pop()
            if not self._holdings.holds(step):
                return
            sifted = await self._sift(step.partition, step.records, self._keys.get(step.partition, set()), refused)
            if sifted.ended_at is not None:
                self._halt(step, sifted.ended_at, sifted.ended_by)
                waiting.clear()
                if sifted.ended_at == 0:
                    return
                step = _until(step, sifted.ended_at)
            if sifted.changes is None:
                waiting += _halves(step, sifted.free)
                continue
            poison = [each for each in sifted.parked if each.state == POISON]
            if poison and (room := await self._room_for(poison)) < len(poison):
                if room == 0:
                    await self._while_stopped(step)
                    waiting.append(step)
                else:
                    waiting += _around(step, poison[room].record_offset)
                continue
            try:
                await apply(step, sifted.changes, partial(self._apply_aside, aside=Aside(sifted.parked)))
            except Unstorable as error:
                if not sifted.free:
                    raise  # what is set aside must be storable, or nothing is
                if len(sifted.free) == 1:
                    refused[step.records[sifted.free[0]].offset] = error
                    waiting.append(step)
                else:
                    waiting += _halves(step, sifted.free)
                continue
            self._note(step.partition, sifted.parked)

    async def tend(self, alone: Callable[[], AbstractAsyncContextManager[None]]) -> None:
        """Looks after the halted and the parked: what may go on goes on. `alone` is a time in which no batch is
        applied."""
        held = dict(self._holdings.epochs)
        if not held:
            return
        breaker = await self._lot.breaker()
        self.stopped = breaker.stopped_at is not None
        self._say_again(breaker)
        await self._look_at_halted()
        lying = await self._lot.of(held)
        if lying and not isinstance(self._projection, PostgresProjection):
            await self._lot.forget_erased("profiles.erased")  # no sweeper looks into it
            lying = await self._lot.of(held)
        if self.stopped or not self._something_to_do(held, lying):
            return
        async with alone():
            await self._release(held, await self._lot.of(held))

    async def _apply_aside(self, advance: Advance, changes: Any, aside: Aside) -> Outcome:
        return await self._store.apply_aside(advance, changes, aside if aside.parked or aside.released else None)

    async def _learn(self) -> None:
        """Reads what is parked in the partitions held. Nobody but their owner adds to it."""
        held = dict(self._holdings.epochs)
        lying = await self._lot.of(held)
        self.stopped = (await self._lot.breaker()).stopped_at is not None
        by_place = _by_place(lying)
        for place, epoch in held.items():
            self._keys[place] = _keys_of(by_place.get(place, []))
            self._known_under[place] = epoch
            self.halted.pop(place, None)

    async def _sift(
        self, place: Partition, records: Sequence[Record], blocked: set[str], refused: dict[int, BaseException]
    ) -> Sifted:
        async def attempt() -> Sifted:
            values = [record.value for record in records if record.value is not None]
            await self._reader.load_keys([value for value in values if self._names_a_subject(value)])
            return sift(place, records, blocked, refused, self._reader, self._folds)

        return await retrying(f"reading for {self._projection.name}", attempt, self._transient_reading())

    def _names_a_subject(self, value: bytes) -> bool:
        try:
            self._reader.require_subject(value)
        except (MalformedRecord, LookupError):
            return False
        return True

    def _transient_reading(self) -> tuple[type[Exception], ...]:
        import psycopg

        return (*TRANSIENT_READING, psycopg.OperationalError)

    def _note(self, place: Partition, parked: Sequence[Parked]) -> None:
        if not parked:
            return
        self._keys[place] = self._keys.get(place, set()).union(*(each.keys for each in parked))
        for each in parked:
            say = log.error if each.state == POISON else log.info
            say(
                "parked",
                topic=each.topic,
                partition=each.partition,
                offset=each.record_offset,
                type=each.event_type,
                state=each.state,
                reason=each.reason,
            )

    # A partition that is halted, a projection that is stopped.

    def _halt(self, step: Fetched, index: int, error: BaseException | None) -> None:
        record = step.records[index]
        self.halted[step.partition] = record
        log.critical(
            "halted", topic=step.partition.topic, partition=step.partition.number, offset=record.offset,
            reason=f"{type(error).__name__}: {error}",
        )  # fmt: skip

    async def _look_at_halted(self) -> None:
        """A type that was unknown may be known by now: the registry was away, or had forgotten it."""
        for place, record in list(self.halted.items()):
            sifted = await self._sift(place, [record], set(), {})
            if sifted.ended_at is None:
                del self.halted[place]
                self._holdings.fence_wanted = True  # what came after was let pass unread
                log.warning("goes_on", topic=place.topic, partition=place.number, offset=record.offset)
            elif self._is_time(str(place)):
                self._halt_said_again(place, record, sifted.ended_by)

    def _halt_said_again(self, place: Partition, record: Record, error: BaseException | None) -> None:
        log.critical(
            "still_halted", topic=place.topic, partition=place.number, offset=record.offset,
            reason=f"{type(error).__name__}: {error}",
        )  # fmt: skip

    def _say_again(self, breaker: Breaker) -> None:
        if self.stopped and self._is_time("stopped"):
            log.critical(
                "stopped_by_breaker", why=breaker.why, since=str(breaker.stopped_at),
                do=f"rookery parked list {self._projection.name}, then rookery parked resume {self._projection.name}",
            )  # fmt: skip

    def _is_time(self, what: str) -> bool:
        now = time.monotonic()
        if now - self._said_at.get(what, -SAID_AGAIN_SECONDS) < SAID_AGAIN_SECONDS:
            return False
        self._said_at[what] = now
        return True

    async def _room_for(self, poison: Sequence[Parked]) -> int:
        """How many of these may be parked before the breaker stops the projection; at 0 it does."""
        if (await self._lot.breaker()).stopped_at is not None:
            self.stopped = True
            return 0
        recent = await self._lot.recent(self._settings.parked_window_seconds)
        records, causes = recent.records, set(recent.causes)
        for room, each in enumerate(poison):
            records += 1
            causes.add(each.cause)
            too_many = records > self._settings.parked_records_max
            if too_many or len(causes) > self._settings.parked_causes_max:
                if room == 0:
                    number = f"more than {recent.records} records" if too_many else f"records of {len(causes)} causes"
                    window = f"within {self._settings.parked_window_seconds:.0f} s"
                    await self._lot.stop(f"{number} would be parked {window}; the next: {each.cause}")
                    self.stopped = True
                return room
        return len(poison)

    async def _while_stopped(self, fetched: Fetched) -> None:
        while self.stopped and self._holdings.holds(fetched):
            breaker = await self._lot.breaker()
            self.stopped = breaker.stopped_at is not None
            self._say_again(breaker)
            if self.stopped:
                await asyncio.sleep(self._settings.check_seconds)

    # What is taken back.

    def _something_to_do(self, held: dict[Partition, int], lying: Sequence[Parked]) -> bool:
        by_place = _by_place(lying)
        for place in held:
            here = by_place.get(place, [])
            if self._known_under.get(place) == held[place] and self._keys.get(place, set()) != _keys_of(here):
                return True
            standing: set[str] = set()
            for each in here:
                if each.retry_at is not None or (each.state == BEHIND and standing.isdisjoint(each.keys)):
                    return True
                standing.update(each.keys)
        return False

    async def _release(self, held: dict[Partition, int], lying: Sequence[Parked]) -> None:
        """Tries, in the order of the log, what was asked for and what waits behind nothing any more."""
        until = time.monotonic() + RELEASED_AT_ONCE_SECONDS
        by_place = _by_place(lying)
        for place, epoch in held.items():
            if self._holdings.epochs.get(place) != epoch or place in self.halted:
                continue
            standing: set[str] = set()
            for each in by_place.get(place, []):
                free = standing.isdisjoint(each.keys)
                if each.retry_at is not None and not free:
                    await self._lot.waits_behind(each)
                tried = free and (each.retry_at is not None or each.state == BEHIND) and time.monotonic() < until
                if not (tried and await self._released(each, epoch)):
                    standing.update(each.keys)
            self._keys[place] = standing
            self._known_under[place] = epoch

    async def _released(self, record: Parked, epoch: int) -> bool:
        """Whether the record could be applied now, by a step of its partition from where it stands to there."""
        place = record.place
        again = await self._as_it_is_now(record)
        changes: Any = again
        at = self._holdings.applied.get(place)
        if at is None or self._holdings.epochs.get(place) != epoch:
            return False  # revoked meanwhile: whoever has the partition now looks after it
        if not isinstance(again, Parked):
            step, aside = Advance(place, at, at, epoch), Aside(released=(record.record_offset,))
            try:
                outcome = await self._store.apply_aside(step, changes, aside)
            except Unstorable as error:
                again = (await self._sift_one(record, error)).parked[0]
            else:
                if outcome is not Outcome.REFUSED:
                    log.info("released", topic=place.topic, partition=place.number, offset=record.record_offset)
                return outcome is not Outcome.REFUSED
        await self._lot.failed_again(again)
        log.error("failed_again", topic=place.topic, partition=place.number, offset=record.record_offset)
        return False

    async def _as_it_is_now(self, record: Parked) -> Any:
        """What the record changes, or the record with what it fails of now."""
        sifted = await self._sift_one(record)
        if sifted.ended_by is not None:
            return replace(record, state=POISON, cause=type(sifted.ended_by).__name__, reason=str(sifted.ended_by))
        return sifted.parked[0] if sifted.parked else sifted.changes

    async def _sift_one(self, record: Parked, error: BaseException | None = None) -> Sifted:
        refused = {} if error is None else {record.record_offset: error}
        return await self._sift(record.place, [_Again(record)], set(), refused)


class _Again:
    """A parked record as it stood in the log."""

    def __init__(self, parked: Parked) -> None:
        self.offset = parked.record_offset
        self.key = None if parked.record_key is None else bytes(parked.record_key)
        self.value: bytes | None = bytes(parked.value)


def _by_place(lying: Sequence[Parked]) -> dict[Partition, list[Parked]]:
    found: dict[Partition, list[Parked]] = {}
    for each in lying:
        found.setdefault(each.place, []).append(each)
    return found


def _keys_of(lying: Sequence[Parked]) -> set[str]:
    return {key for each in lying for key in each.keys}


def _until(step: Any, index: int) -> Any:
    """The step up to the record at `index`, without it."""
    return replace(step, next=step.records[index].offset, records=step.records[:index])


def _halves(step: Any, free: Sequence[int]) -> list[Any]:
    """Two steps with half of the free records each, the first one last, as it is taken from a stack."""
    return _around(step, step.records[free[len(free) // 2]].offset)


def _around(step: Any, border: int) -> list[Any]:
    """What of the step lies from that offset on, and what before it."""
    index = next(index for index, record in enumerate(step.records) if record.offset == border)
    return [replace(step, previous=border, records=step.records[index:]), _until(step, index)]
