"""Ids and times as text, quickly: an export makes half a dozen of them for each event."""

from functools import lru_cache

from shared.ids import datetime_of

MICROS_PER_SECOND = 1_000_000
# Of a long out of a record that may be anything; beyond these a calendar has no date.
MICROS_MAX = 253_402_300_800 * MICROS_PER_SECOND - 1
MICROS_MIN = -62_135_596_800 * MICROS_PER_SECOND


def id_text(value: bytes) -> str:
    """The canonical form of a UUID's 16 bytes (RFC 9562)."""
    text = value.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def time_text(micros: int) -> str:
    """RFC 3339 in UTC with microseconds, of microseconds since 1970; the bare number beyond the years 1 to 9999."""
    if not MICROS_MIN <= micros <= MICROS_MAX:
        return str(micros)
    seconds, fraction = divmod(micros, MICROS_PER_SECOND)
    return f"{_second(seconds)}.{fraction:06d}Z"


@lru_cache(maxsize=10_000)
def _second(seconds: int) -> str:
    return datetime_of(seconds * MICROS_PER_SECOND).replace(tzinfo=None).isoformat(timespec="seconds")
