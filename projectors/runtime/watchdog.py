"""A thread that ends the process when it no longer does its work; whoever runs it starts it anew.

Ending is safe at any moment: data and position are one in the store, and a statement that PostgreSQL has begun is
finished without us, so that even a worker ended for being slow has advanced. It is needed because a Faust worker can
hang for ever as a healthy-looking member of its group, with nothing logged. `os._exit` on purpose: a hung process does
not run its own farewell. Only its group is told, or the partitions would be nobody's until the session is over.

A stall is: the log has more, the store fails at nothing, and yet nothing is applied. Waiting for a store that is away
is none; retrying.py bounds it. Nor is being slow: a partition may wait for the others' batches, for a longer time.
"""

import faulthandler
import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import Protocol

import structlog
from confluent_kafka import KafkaException

from projectors.runtime.log_ends import LogEnds
from projectors.runtime.settings import WorkerSettings
from projectors.runtime.stores.port import Partition

EXIT_STATUS = 75  # EX_TEMPFAIL of sysexits.h: try again
LOOK_SECONDS = 1.0
MEASURE_LAG_SECONDS = 2.0
log = structlog.get_logger()


class Watched(Protocol):
    """What the watchdog may ask from its own thread; each answers at once and takes no lock."""

    def tick(self, answered: Callable[[], None]) -> None:
        """Has the event loop call `answered`."""
        ...

    def rebalancing_since(self) -> float | None:
        """When the rebalance that is under way began (time.monotonic), None when there is none."""
        ...

    def ever_assigned(self) -> bool: ...

    def stopping(self) -> bool: ...

    def is_out_of_group(self) -> bool:
        """Whether the client has given up being a member of its group, though nobody told it to."""
        ...

    def applied(self) -> Mapping[Partition, int]:
        """The next offset of each partition held, as applied."""
        ...

    def store_failed_at(self) -> float:
        """When the store last refused or broke off what was asked of it (time.monotonic), 0 when it never did."""
        ...

    def leave(self) -> None:
        """Tells the group that this worker is gone, if that is still possible, within a second."""
        ...


class Watchdog(threading.Thread):
    """Looks once a second, and asks the broker for the log's ends every other second."""

    def __init__(self, watched: Watched, ends: LogEnds, settings: WorkerSettings) -> None:
        super().__init__(name="watchdog", daemon=True)
        self._watched = watched
        self._ends = ends
        self._settings = settings
        self._answered_at = time.monotonic()
        self._stopping_since: float | None = None
        # partition -> (its offset, when it last moved or had nothing to do)
        self._seen: dict[Partition, tuple[int, float]] = {}
        self._advanced_at = self._measured_at = time.monotonic()
        self._measure_seconds = min(MEASURE_LAG_SECONDS, settings.stalled_seconds / 5)
        self._measuring = threading.Thread()  # the one that is under way, or was last
        self._measured: tuple[Mapping[Partition, int], Mapping[Partition, int] | None] | None = None

    def run(self) -> None:
        while True:
            # Of the sleep alone: a broker that is slow to tell the log's ends must not look like a frozen process.
            asleep = time.monotonic()
            time.sleep(LOOK_SECONDS)
            now = time.monotonic()
            if now - asleep > 3 * LOOK_SECONDS:
                # The whole process was frozen: the loop gets its time to answer, and the store refuses what is stale.
                self._answered_at = now
                self._seen.clear()
            self._watched.tick(self._answer)
            reason = self._reason(now)
            if reason:
                log.critical("watchdog", reason=reason)
                faulthandler.dump_traceback()
                self._watched.leave()
                os._exit(EXIT_STATUS)

    def _answer(self) -> None:
        self._answered_at = time.monotonic()

    def _reason(self, now: float) -> str | None:
        settings, watched = self._settings, self._watched
        if watched.stopping():
            self._stopping_since = self._stopping_since or now
            over = now - self._stopping_since > settings.stopping_seconds
            return "the shutdown does not end" if over else None
        if now - self._answered_at > settings.blocked_seconds:
            return f"the event loop is blocked for {now - self._answered_at:.0f} s"
        if watched.is_out_of_group():
            return "the client takes no part in its group any more"
        since = watched.rebalancing_since()
        allowed = settings.unassigned_seconds if watched.ever_assigned() else settings.starting_seconds
        if since is not None and now - since > allowed:
            return f"a rebalance does not end for {now - since:.0f} s"
        if since is not None:
            self._seen.clear()  # it has held nothing since
            self._measured = None
        elif self._measured is not None:
            return self._stalled()
        elif not self._measuring.is_alive() and now - self._measured_at > self._measure_seconds:
            # In a thread of its own: a frozen broker keeps it waiting for seconds, in which everything else is watched.
            self._measured_at = now
            self._measuring = threading.Thread(target=self._measure, name="watchdog-log-ends", daemon=True)
            self._measuring.start()
        return None

    def _measure(self) -> None:
        """Asks for the log's ends of what is held, as it was applied right before."""
        applied = self._watched.applied()
        ends: Mapping[Partition, int] | None = None
        try:
            ends = self._ends.ends(applied)
        except (KafkaException, TimeoutError) as error:
            log.warning("log_ends_unknown", error=str(error))
        self._measured = applied, ends

    def _stalled(self) -> str | None:
        """What the last measurement says, which is then done with."""
        (applied, ends), self._measured = self._measured or ({}, None), None
        if ends is None:
            # Without the broker there is no lag to be blamed for; the client's own timeouts are at work.
            self._seen.clear()
            return None
        now = time.monotonic()
        for partition in self._seen.keys() - applied.keys():
            del self._seen[partition]
        for partition, offset in applied.items():
            before, moved_at = self._seen.get(partition, (offset, now))
            if offset != before:
                self._advanced_at = now
            if offset != before or ends[partition] <= offset:
                moved_at = now
            self._seen[partition] = (offset, moved_at)
        store_failed_at = self._watched.store_failed_at()
        for partition, (offset, moved_at) in self._seen.items():
            still_since = max(moved_at, store_failed_at)
            stalled = now - max(still_since, self._advanced_at) > self._settings.stalled_seconds
            if stalled or now - still_since > self._settings.starved_seconds:
                return f"{partition.topic}:{partition.number} stands at {offset} of {ends[partition]}"
        return None
