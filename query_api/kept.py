"""Values that a process keeps for seconds because many requests need the same ones; bounded in time and number."""

import threading
import time
from collections.abc import Hashable, Mapping
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Kept(Generic[Key, Value]):
    """Values by key, for at most `seconds`, and at most `values_max` of them: what was kept in this half of the time,
    and what was in the one before it. Threads may share it."""

    def __init__(self, seconds: float, values_max: int) -> None:
        self._seconds, self._values_max = seconds / 2, values_max // 2
        self._lock = threading.Lock()
        self._young: dict[Key, Value] = {}
        self._old: dict[Key, Value] = {}
        self._until = 0.0

    def halves(self) -> tuple[Mapping[Key, Value], Mapping[Key, Value]]:
        """What was kept lately, and before that; to look up many at once."""
        now = time.monotonic()
        if now >= self._until or len(self._young) > self._values_max:
            with self._lock:
                if now >= self._until or len(self._young) > self._values_max:
                    self._old = self._young if now < self._until + self._seconds else {}
                    self._young, self._until = {}, now + self._seconds
        return self._young, self._old

    def keep(self, values: Mapping[Key, Value]) -> None:
        self._young.update(values)
