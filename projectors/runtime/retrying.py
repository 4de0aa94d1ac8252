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

Answer = TypeVar("Answer")
log = structlog.get_logger()
_failed_at = 0.0


def failed_at() -> float:
    """When an attempt of this process's last failed (time.monotonic), 0 when none has. The watchdog asks from its own
    thread: while a store is away, waiting for it is no hang, and ends by itself."""
    return _failed_at


async def retrying(
    what: str,
    attempt: Callable[[], Awaitable[Answer]],
    transient: tuple[type[Exception], ...],
    seconds: float = math.inf,
) -> Answer:
    """What `attempt` answers. Its `transient` errors are logged and tried again, raised once `seconds` are over."""
    clock = asyncio.get_running_loop().time
    began = logged_at = clock()
    delay = FIRST_DELAY_SECONDS
    while True:
        try:
            return await attempt()
        except transient as error:
            _note_failure()
            now = clock()
            if now + delay > began + seconds:
                raise
            if delay < DELAY_SECONDS_MAX or now - logged_at >= LOGGED_AGAIN_SECONDS:
                logged_at = now
                message = str(error).partition("\n")[0]
                name = type(error).__name__
                log.warning("retrying", during=what, error=name, message=message, seconds=round(now - began, 1))
            await asyncio.sleep(delay)
            delay = min(delay * 2, DELAY_SECONDS_MAX)


def _note_failure() -> None:
    global _failed_at  # a process is one worker, and has one watchdog to tell
    _failed_at = time.monotonic()
