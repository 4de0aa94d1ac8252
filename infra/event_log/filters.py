"""Which records are asked for, decided from what lies around a record and never from its decoded body.

A person is told by the first 16 bytes of the key, a type by the schema's id in the value's first five, and a time is
the moment of appending, by which Kafka finds offsets. `since` is included, `until` is not.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from infra.event_log.failures import BadArgument
from infra.event_log.scan import Record
from shared.ids import datetime_of, micros_of

DURATION = re.compile(r"(?:\d+(?:\.\d+)?[smhdw])+", re.ASCII)
PART = re.compile(r"(\d+(?:\.\d+)?)([smhdw])", re.ASCII)
SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


@dataclass(frozen=True)
class Filter:
    """Times are milliseconds since 1970, as Kafka keeps them; what is empty or None excludes nothing."""

    topics: tuple[str, ...]
    types: frozenset[str] = frozenset()
    subject: UUID | None = None
    since: int | None = None
    until: int | None = None

    def select(self, records: Iterable[Record], type_of: Callable[[Record], str]) -> list[Record]:
        """Those asked for, in the order given."""
        found = list(records)
        # A broker's clock can go back, so that an offset found by time is not the only test.
        if self.since is not None:
            found = [record for record in found if record.time_ms >= self.since]
        if self.until is not None:
            found = [record for record in found if record.time_ms < self.until]
        if self.subject is not None:
            start = self.subject.bytes
            found = [record for record in found if record.key is not None and record.key.startswith(start)]
        if self.types:
            found = [record for record in found if type_of(record) in self.types]
        return found

    def described(self) -> dict[str, object]:
        """As it is kept and shown."""
        return {
            "topics": list(self.topics),
            "types": sorted(self.types),
            "subject": None if self.subject is None else str(self.subject),
            "since": None if self.since is None else datetime_of(self.since * 1_000).isoformat(),
            "until": None if self.until is None else datetime_of(self.until * 1_000).isoformat(),
        }


def moment(text: str, now: int, name: str) -> int:
    """Milliseconds since 1970 of an ISO 8601 time (UTC where it names no zone) or of "2h30m", so long ago.

    `now` is in microseconds. Raises BadArgument, in the name of the option.
    """
    given = text.strip()
    if given == "now":
        return -(-now // 1_000)
    if DURATION.fullmatch(given):
        seconds = sum(float(number) * SECONDS[unit] for number, unit in PART.findall(given))
        return max(0, -(-(now - int(seconds * 1_000_000)) // 1_000))
    try:
        parsed = datetime.fromisoformat(given)
    except ValueError:
        raise BadArgument(
            f"{name} is a time such as 2026-11-21T09:30 (UTC) or so long ago as 90s, 15m, 2h30m, 7d; not {text!r}"
        ) from None
    aware = parsed if parsed.tzinfo is not None else parsed.replace(tzinfo=UTC)
    return max(0, -(-micros_of(aware) // 1_000))
