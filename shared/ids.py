"""Event ids: UUIDv7 (RFC 9562) that hold whole microseconds, so that an id gives its time exactly.

The 12 bits after the milliseconds hold the fraction of a millisecond (RFC 9562, section 6.2, method 3). An id is
minted after the locks of what it depends on are held and greater than every id found there (a hybrid clock), so that
"newer" means "greater" whatever the servers' clocks say.
"""

import os
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from uuid import UUID

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NIL = UUID(int=0)
LAST_ID = UUID(int=(1 << 128) - 1)  # no id is greater


def mint(now: int, after: Iterable[UUID] = (), random: bytes | None = None) -> UUID:
    """A new id at `now` (microseconds since 1970), or one microsecond after the newest of `after` if that is later.

    `random` is 8 bytes of which 62 bits are used; left out, the operating system's.
    """
    micros = now
    for other in after:
        micros = max(micros, time_of(other) + 1)
    milliseconds, fraction = divmod(micros, 1000)
    noise = int.from_bytes(random if random is not None else os.urandom(8), "big") & ((1 << 62) - 1)
    # Rounded up, so that time_of's rounding down gives the same microsecond back.
    fraction_bits = -(-fraction * 4096 // 1000)
    return UUID(int=milliseconds << 80 | 0x7 << 76 | fraction_bits << 64 | 0b10 << 62 | noise)


def time_of(identifier: UUID) -> int:
    """The microseconds since 1970 at which `mint` made this id, exact."""
    number = identifier.int
    return (number >> 80) * 1000 + ((number >> 64 & 0xFFF) * 1000 >> 12)


def datetime_of(micros: int) -> datetime:
    """The UTC datetime of microseconds since 1970, exact."""
    return EPOCH + timedelta(microseconds=micros)


def micros_of(moment: datetime) -> int:
    """The microseconds since 1970 of an aware datetime, exact."""
    return (moment - EPOCH) // timedelta(microseconds=1)


def day_of(micros: int) -> int:
    """The UTC day as days since 1970-01-01."""
    return micros // 86_400_000_000
