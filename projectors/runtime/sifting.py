"""Tells the records of a batch that can be folded from those that cannot, and from those that must wait for one. Pure.

A record is poison when its bytes are not an event, when its fold raises, or when the store has refused what it changes.
Whatever shares a key with an earlier one that is parked waits behind it (runtime/parking_keys.py). Two kinds of records
are never parked: the erasure of a person, and an event of a type that is not known here, which may mean anything. There
the sifting ends, and with it the partition.
"""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from traceback import extract_tb
from typing import Any, Protocol
from uuid import UUID

from projectors.runtime.last_records import KEY_BYTES
from projectors.runtime.parking_keys import ParkingKeys
from projectors.runtime.parking_lot import BEHIND, POISON, Parked
from projectors.runtime.stores.port import Partition, Unstorable
from schemas.codec import MalformedRecord, UnknownEventType
from schemas.types import Event

NEVER_PARKED = "UserErased"
ROOT = Path(__file__).resolve().parents[2]
OWN = ("projectors", "schemas", "shared")


class Record(Protocol):
    @property
    def offset(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...


class Reads(Protocol):
    """What is used of runtime/reading.py `Reader`."""

    def type_name(self, value: bytes) -> str: ...
    def read(self, values: Sequence[bytes]) -> list[Event]: ...


@dataclass(frozen=True)
class Folds:
    """What is used of a projection."""

    fold: Callable[[Sequence[Event]], Any]
    keys: Callable[[Event], ParkingKeys]


@dataclass
class Sifted:
    """What became of the records up to `ended_at`, the index of one that may not be passed, or of all of them.

    `changes` are of the free events together; it is None where only together they cannot be folded.
    """

    free: list[int] = field(default_factory=list)  # the indices of the records that were folded
    parked: list[Parked] = field(default_factory=list)
    changes: Any = None
    ended_at: int | None = None
    ended_by: BaseException | None = None


def sift(
    place: Partition,
    records: Sequence[Record],
    blocked: Set[str],
    refused: Mapping[int, BaseException],
    reads: Reads,
    folds: Folds,
) -> Sifted:
    """Sifts the records of one partition, given in order.

    `blocked` are the keys of what is parked already, `refused` the errors of those whose changes the store refused, by
    offset. Raises what reading raises of no record's own fault: a server that is away.
    """
    known = dict(refused)
    while True:
        sifted, events = _classify(place, records, blocked, known, reads, folds)
        if not events:
            sifted.changes = folds.fold([])
            return sifted
        try:
            sifted.changes = folds.fold(events)
            return sifted
        except Exception:
            culprits = _culprits(sifted.free, events, folds)
            if not culprits and len(events) == 1:
                raise  # a fold that answers differently is no fold
        # Each may be foldable by itself; then whoever asked must take fewer at once.
        if not culprits:
            return sifted
        known |= {records[index].offset: error for index, error in culprits.items()}


def _culprits(indices: Sequence[int], events: Sequence[Event], folds: Folds) -> dict[int, BaseException]:
    found: dict[int, BaseException] = {}
    for index, event in zip(indices, events, strict=True):
        try:
            folds.fold([event])
        except Exception as error:
            found[index] = error
    return found


def _classify(
    place: Partition,
    records: Sequence[Record],
    blocked: Set[str],
    refused: Mapping[int, BaseException],
    reads: Reads,
    folds: Folds,
) -> tuple[Sifted, list[Event]]:
    sifted, events, taken = Sifted(), list[Event](), set(blocked)
    for index, record in enumerate(records):
        if record.value is None:
            continue
        try:
            name = reads.type_name(record.value)
        except UnknownEventType as error:
            sifted.ended_at, sifted.ended_by = index, error
            break
        except MalformedRecord as error:
            sifted.parked.append(parked_of(place, record, (), None, error))
            continue
        wrong = refused.get(record.offset)
        keys: ParkingKeys = ()
        read: list[Event] = []
        try:
            read = reads.read([record.value])
            keys = folds.keys(read[0])
        except MalformedRecord as error:
            wrong = error
        if wrong is not None and name == NEVER_PARKED:
            sifted.ended_at, sifted.ended_by = index, wrong
            break
        behind = name != NEVER_PARKED and not taken.isdisjoint(keys)
        if wrong is not None or behind:
            # Behind another it was never tried by itself, whatever is known of it.
            sifted.parked.append(parked_of(place, record, keys, name, None if behind else wrong))
            taken.update(keys)
        else:
            sifted.free.append(index)
            events += read
    return sifted, events


def parked_of(
    place: Partition, record: Record, keys: ParkingKeys, name: str | None, error: BaseException | None
) -> Parked:
    """The record as it is set aside: with what it failed of, or behind another. Bytes without an event's key are a key
    of their own."""
    subject_id, event_id = _ids(record.key)
    own = (f"record:{place.topic}:{place.number}:{record.offset}",)
    return Parked(
        topic=place.topic,
        partition=place.number,
        record_offset=record.offset,
        keys=keys or own,
        state=BEHIND if error is None else POISON,
        event_type=name,
        event_id=event_id,
        subject_id=subject_id,
        record_key=record.key,
        value=record.value or b"",
        cause="behind" if error is None else cause_of(error, name),
        reason="waits behind an earlier record of the same key" if error is None else reason_of(error),
    )


def cause_of(error: BaseException, name: str | None) -> str:
    """The kind of trouble: equal for records that fail alike."""
    return f"{_names(error)} {name or 'no event'}"


def reason_of(error: BaseException) -> str:
    """What went wrong and where, without a word of what the error says: errors like to quote the data."""
    cause = error.__cause__
    if isinstance(error, Unstorable) and cause is not None:
        diagnosis = getattr(cause, "diag", None)
        state = getattr(cause, "sqlstate", None)
        if diagnosis is None or state is None:
            return f"apply: {type(cause).__name__} at {_where(cause)}"
        column = ".".join(part for part in (diagnosis.schema_name, diagnosis.table_name, diagnosis.column_name) if part)
        named = diagnosis.constraint_name or column
        return f"apply: {type(cause).__name__} (SQLSTATE {state}){f' on {named}' if named else ''}"
    if isinstance(error, MalformedRecord):
        # Without a cause the words are the codec's own, and tell of bytes and lengths alone.
        return f"decode: {_names(error)}" if cause is not None else f"decode: {error}"
    return f"fold: {type(error).__name__} at {_where(error)}"


def _names(error: BaseException) -> str:
    cause = error.__cause__
    return type(error).__name__ if cause is None else f"{type(error).__name__} ({type(cause).__name__})"


def _where(error: BaseException) -> str:
    """The innermost line of our own."""
    for frame in reversed(extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.is_relative_to(ROOT) and path.relative_to(ROOT).parts[0] in OWN:
            return f"{path.relative_to(ROOT)}:{frame.lineno}"
    return "a place outside"


def _ids(key: bytes | None) -> tuple[UUID | None, UUID | None]:
    if key is None or len(key) != KEY_BYTES:
        return None, None
    return UUID(bytes=bytes(key[:16])), UUID(bytes=bytes(key[16:]))
