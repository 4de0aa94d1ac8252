"""The time, passed in from the edges: pure code takes whole microseconds and never asks."""

import time
from collections.abc import Callable

Clock = Callable[[], int]


def now() -> int:
    """Microseconds since 1970-01-01 UTC."""
    return time.time_ns() // 1000
