"""The newest records that match, and the one record of an event, found without reading the whole log where it can be.

Times lead to both: windows grow until enough is found, each read once.
"""

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from infra.event_log.filters import Filter
from infra.event_log.scan import LogScan, Record, Span
from infra.event_log.written import KEY_BYTES
from shared.ids import time_of

FIRST_WINDOW_MS = 1_000
WINDOW_GROWTH = 4
# How far from the time in its id an event's record is looked for, step by step: it is appended within a second, or
# later by the relay after an outage; and servers' clocks differ.
NEAR_MS = (5_000, 60_000, 600_000, 7_200_000, 86_400_000)

Select = Callable[[Sequence[Record]], list[Record]]


@dataclass(frozen=True)
class Newest:
    """The records, oldest first, and the ends of the log they were taken before."""

    records: list[Record]
    spans: list[Span]


def newest(scan: LogScan, asked: Filter, select: Select, number: int, now_ms: int) -> Newest:
    """The `number` records that were appended last among those asked for.

    Reads backwards in windows of time that are the same for all partitions: 1 s, then four times as much each, so that
    at most about four times what was needed is read, and no more than `number` records are held.
    """
    whole = scan.spans(asked.topics, asked.since, asked.until)
    left, width, upper = whole, FIRST_WINDOW_MS, now_ms if asked.until is None else min(now_ms, asked.until)
    kept: list[tuple[int, str, int, int, Record]] = []
    while number > 0 and any(span.start < span.end for span in left):
        upper -= width
        left, window = scan.cut(left, upper) if upper > 0 else ([], left)
        for portion in scan.mixed(window):
            for record in select(portion):
                entry = (record.time_ms, record.topic, record.partition, record.offset, record)
                if len(kept) < number:
                    heapq.heappush(kept, entry)
                else:
                    heapq.heappushpop(kept, entry)
        if len(kept) >= number:
            break
        width *= WINDOW_GROWTH
    return Newest([entry[-1] for entry in sorted(kept)], whole)


def event(scan: LogScan, topics: Sequence[str], event_id: UUID, say: Callable[[str], None]) -> Record | None:
    """The first record of an event, looked for near the time in its id and then ever further away.

    `say` is told when the search becomes long. None when the whole log has no such record.
    """
    moment = time_of(event_id) // 1_000
    before, after = scan.cut(scan.spans(topics), moment)
    for margin in NEAR_MS:
        before, near_before = scan.cut(before, max(0, moment - margin))
        near_after, after = scan.cut(after, moment + margin)
        found = _first(scan, near_after, event_id) or _first(scan, near_before, event_id)
        if found is not None:
            return found
    records = sum(span.end - span.start for span in (*before, *after))
    say(f"not within a day of its id's time; reading all other records, {records:,} of them")
    return _first(scan, after, event_id) or _first(scan, before, event_id)


def _first(scan: LogScan, spans: Sequence[Span], event_id: UUID) -> Record | None:
    wanted = event_id.bytes
    for portion in scan.mixed(spans):
        for record in portion:
            key = record.key
            if key is not None and len(key) == KEY_BYTES and key.endswith(wanted):
                return record
    return None
