"""What the outbox and the positions say that one partition held, against what it holds: pure.

Three things name a record by its place: an acknowledged row of the outbox (event, offset), a position (the event before
it), and a position alone, which says that there were so many records. A place that holds another event, or lies behind
the log's end, is where the log is not the one that was acknowledged: from the first of them on everything is in doubt.
A place that is empty was compacted away and says nothing.

The outbox is complete from its oldest row on: what was appended anew in its time stands in it. So where neither the
log's end nor a row lies below a place, nothing below it was cut off and grown anew since.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

from projectors.runtime.stores.port import Partition


class Stand(NamedTuple):
    """Where a projection stands in one partition: `store` is a schema, or a shard of Redis."""

    store: str
    offset: int
    last_event: UUID | None = None


@dataclass(frozen=True)
class Log:
    """One partition as it is: the events from `begin` up to `end`, by offset. None is a record of no event."""

    begin: int
    end: int
    events: Mapping[int, UUID | None]


@dataclass(frozen=True)
class Finding:
    """What is wrong with one partition.

    From `common` on the log is not the one that was acknowledged; everything below is, as far as anything tells. `lost`
    are the events that it has nowhere, oldest first; `moved` those that it has at another place than the outbox says;
    `unknown` the offsets of which the outbox remembers nothing, though something was applied there; `ahead` the stands
    that must be set back to `common`.
    """

    partition: Partition
    end: int
    common: int
    lost: Sequence[UUID] = ()
    moved: Mapping[UUID, int] = field(default_factory=dict)
    unknown: range = range(0)
    ahead: Sequence[Stand] = ()
    last_common: UUID | None = None  # the event right before `common`, where the log was read there


def first_needed(rows: Mapping[UUID, int], stands: Iterable[Stand]) -> int:
    """The offset from which the log must be read, so that everything can be compared."""
    named = [*rows.values(), *(stand.offset - 1 for stand in stands if stand.last_event is not None)]
    return max(0, min(named, default=0) - 1)  # with the record before, which says what is right before it


def compare(partition: Partition, rows: Mapping[UUID, int], stands: Sequence[Stand], log: Log) -> Finding | None:
    """None where everything is as it was acknowledged. `rows` are the outbox's: event -> offset."""
    places = [(offset, event_id) for event_id, offset in rows.items()]
    places += [(stand.offset - 1, stand.last_event) for stand in stands if stand.last_event is not None]
    doubtful = [offset for offset, event_id in places if _differs(log, offset, event_id)]
    doubtful += [log.end for stand in stands if stand.offset > log.end]
    where = {event_id: offset for offset, event_id in sorted(log.events.items(), reverse=True) if event_id is not None}
    if not doubtful:
        return None
    bad, reached = min(doubtful), max((stand.offset for stand in stands), default=0)
    held = [offset for offset, event_id in places if offset < bad and log.events.get(offset) == event_id]
    common = max([log.begin, *(offset + 1 for offset in held)])
    untouched = min([log.end, *rows.values()])
    if bad >= untouched:
        common = max(common, untouched)
    misplaced = [event_id for event_id, offset in rows.items() if _differs(log, offset, event_id)]
    remembered = min(rows.values(), default=reached)
    return Finding(
        partition,
        log.end,
        common,
        sorted(event_id for event_id in misplaced if event_id not in where),
        {event_id: where[event_id] for event_id in misplaced if event_id in where},
        range(common, min(remembered, reached)),
        [stand for stand in stands if stand.offset > common],
        log.events.get(common - 1),
    )


def _differs(log: Log, offset: int, event_id: UUID | None) -> bool:
    if offset >= log.end:
        return True
    return offset in log.events and log.events[offset] != event_id
