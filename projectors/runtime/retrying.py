"""Transient trouble is retried in place with back-off for a bounded time; everything else is raised at once."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

RETRY_SECONDS = 20.0
FIRST_DELAY_SECONDS = 0.05
DELAY_SECONDS_MAX = 1.0

Answer = TypeVar("Answer")
log = structlog.get_logger()


async def retrying(
    what: str,
    attempt: Callable[[], Awaitable[Answer]],
    transient: tuple[type[Exception], ...],
    seconds: float = RETRY_SECONDS,
) -> Answer:
    """What `attempt` answers. Its `transient` errors are logged and tried again, raised once `seconds` are over."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + seconds
    delay = FIRST_DELAY_SECONDS
    while True:
        try:
            return await attempt()
        except transient as error:
            if clock() + delay > deadline:
                raise
            message = str(error).partition("\n")[0]
            log.warning("retrying", during=what, error=type(error).__name__, message=message)
            await asyncio.sleep(delay)
            delay = min(delay * 2, DELAY_SECONDS_MAX)
