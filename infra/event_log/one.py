"""One record, named by its place in the log or by its event's id."""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple
from uuid import UUID

from infra.event_log import finding
from infra.event_log.failures import BadArgument, NotFound
from infra.event_log.scan import LogScan, Record, Span
from projectors.runtime.stores.port import Partition

PLACE = re.compile(r"([\w.-]+):(\d{1,9}):(\d{1,18})", re.ASCII)
OFFSETS_MAX = 1_000  # how far the next record behind a hole is looked for


class Place(NamedTuple):
    """Where a record stands."""

    partition: Partition
    offset: int


def place(text: str) -> Place | None:
    """What posts:3:17 names; None for other text."""
    found = PLACE.fullmatch(text)
    return Place(Partition(found[1], int(found[2])), int(found[3])) if found else None


def named(partition: Partition) -> str:
    """posts:3"""
    return f"{partition.topic}:{partition.number}"


def parsed(text: str) -> Place | UUID:
    """What names a record. Raises BadArgument."""
    found = place(text)
    if found is not None:
        return found
    try:
        event_id = UUID(text)
    except ValueError:
        event_id = None
    if event_id is None or event_id.version != 7:
        raise BadArgument(f"{text!r} is neither an event's id (a UUID of version 7) nor TOPIC:PARTITION:OFFSET")
    return event_id


def find(scan: LogScan, topics: Sequence[str], which: Place | UUID, say: Callable[[str], None]) -> Record:
    """The record. Raises NotFound, or BadArgument for a place that the log cannot have."""
    if isinstance(which, UUID):
        record = finding.event(scan, topics, which, say)
        if record is None:
            raise NotFound(f"no record of event {which} in the log")
        return record
    return _at(scan, which._replace(partition=which.partition._replace(topic=topics[0])))


def _at(scan: LogScan, wanted: Place) -> Record:
    bounds = scan.bounds(wanted.partition)
    if not bounds.start <= wanted.offset < bounds.end:
        has = f"from {bounds.start} to {bounds.end - 1}" if bounds.start < bounds.end else "none"
        raise NotFound(f"{named(wanted.partition)} has no offset {wanted.offset}: it has {has}")
    reach = Span(wanted.partition, wanted.offset, min(wanted.offset + OFFSETS_MAX, bounds.end))
    for portion in scan.in_order([reach]):
        for record in portion:
            if record.offset == wanted.offset:
                return record
            raise NotFound(
                f"the record at {named(wanted.partition)}:{wanted.offset} is deleted; next is {record.place}"
            )
    raise NotFound(f"the record at {named(wanted.partition)}:{wanted.offset} is deleted, as are those behind it")
