"""Transient trouble is retried in place with back-off for a bounded time; everything else is raised at once."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

RETRY_SECONDS = 20.0
FIRST_DELAY_SECONDS = 0.05
DELAY_SECONDS_MAX = 1.0

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
    seconds: float = RETRY_SECONDS,
) -> Answer:
    """What `attempt` answers. Its `transient` errors are logged and tried again, raised once `seconds` are over."""
    deadline = time.monotonic() + seconds
    delay = FIRST_DELAY_SECONDS
    while True:
        try:
            return await attempt()
        except transient as error:
            _note_failure()
            if time.monotonic() + delay > deadline:
                raise
            message = str(error).partition("\n")[0]
            log.warning("retrying", during=what, error=type(error).__name__, message=message)
            await asyncio.sleep(delay)
            delay = min(delay * 2, DELAY_SECONDS_MAX)


def _note_failure() -> None:
    global _failed_at  # a process is one worker, and has one watchdog to tell
    _failed_at = time.monotonic()
