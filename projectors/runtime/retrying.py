"""Transient trouble is retried in place with back-off until it is over; everything else is raised at once.

Nothing is skipped meanwhile: whoever waits here holds its partition. A server that is away for an hour costs a line of
log now and then; a process that ended for it would only be started to wait for the same.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

FIRST_DELAY_SECONDS = 0.05
DELAY_SECONDS_MAX = 1.0
LOGGED_AGAIN_SECONDS = 10.0  # the first failures are logged one by one, then one in so long
# Of PostgreSQL: no connection, shutting down or starting, out of connections. Not a lock or a statement's time.
AWAY_SQLSTATES = ("08", "53", "57P")

Answer = TypeVar("Answer")
log = structlog.get_logger()

_away_at = -math.inf


async def retrying(
    what: str,
    attempt: Callable[[], Awaitable[Answer]],
    transient: tuple[type[Exception], ...],
    seconds: float = math.inf,
) -> Answer:
    """What `attempt` answers. Its `transient` errors are logged and tried again, raised once `seconds` are over."""
    global _away_at
    clock = asyncio.get_running_loop().time  # of the live worker: time.monotonic
    began = logged_at = clock()
    delay = FIRST_DELAY_SECONDS
    while True:
        try:
            return await attempt()
        except transient as error:
            now = clock()
            if now + delay > began + seconds:
                raise
            if is_away(error):
                _away_at = now
            if delay < DELAY_SECONDS_MAX or now - logged_at >= LOGGED_AGAIN_SECONDS:
                logged_at = now
                message = str(error).partition("\n")[0]
                name = type(error).__name__
                log.warning("retrying", during=what, error=name, message=message, seconds=round(now - began, 1))
            await asyncio.sleep(delay)
            delay = min(delay * 2, DELAY_SECONDS_MAX)


def is_away(error: Exception) -> bool:
    """Whether the error says that a server cannot be reached, not that it could not do this one thing now."""
    state = getattr(error, "sqlstate", None)
    return state is None or str(state).startswith(AWAY_SQLSTATES)


def server_was_away(seconds: float) -> bool:
    """Whether some attempt of this process has met a server that is away within the last so many seconds."""
    return time.monotonic() - _away_at < seconds
