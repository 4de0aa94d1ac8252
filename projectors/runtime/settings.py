"""The times and sizes a live worker runs by, in one place; tests shorten some, operators need none.

What each protects from is measured in docs/decisions/0005-positions-outside-faust.md. The session timeout must not
exceed the request timeout, and the fence's deadline must lie well below it. However a worker hangs, the watchdog's
times are such that its successor is at work within 20 s of the hang's beginning: a look a second, an end, a start and
a join take up to 8 s of them. A rebalance that goes well may last for `rebalance_seconds`, and then it is fenced.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

PREFIX = "ROOKERY_WORKER_"


@dataclass(frozen=True)
class WorkerSettings:
    """Seconds, unless the name says otherwise. ROOKERY_WORKER_SESSION_SECONDS and so on override them."""

    session_seconds: float = 6.0  # a dead worker's partitions are given to others after this
    heartbeat_seconds: float = 1.5
    rebalance_seconds: float = 10.0
    request_seconds: float = 15.0  # bounds how long a frozen broker goes unnoticed
    fetch_wait_seconds: float = 0.2  # how long the broker holds a fetch that finds nothing
    commit_seconds: float = 2.0  # advisory commits, for Kafka's own lag tools
    metadata_seconds: float = 30.0  # partitions added to a topic are noticed after this
    check_seconds: float = 2.0  # positions in the store against those in memory
    batch_records_max: float = 4000
    lanes: float = 2  # batches of different partitions that PostgreSQL applies at once, each on a connection of its own
    buffer_batches_max: float = 8
    blocked_seconds: float = 10.0  # watchdog: the event loop does not answer
    unassigned_seconds: float = 12.0  # watchdog: a rebalance, or the fence behind it, does not end
    starting_seconds: float = 30.0  # watchdog: the same before the first fence, on a machine that starts everything
    stopping_seconds: float = 5.0  # watchdog: a stop or crash does not end
    stalled_seconds: float = 10.0  # watchdog: there is lag, the store fails at nothing, and no partition advances
    starved_seconds: float = 60.0  # watchdog: a partition has lag and does not advance, while others do
    parked_window_seconds: float = 300.0  # breaker: what was parked so long ago counts no more
    parked_records_max: float = 100  # breaker: more records in that time stop the projection
    parked_causes_max: float = 10  # breaker: and so do more kinds of errors

    @property
    def fence_seconds(self) -> float:
        """The deadline of a fence: past the request timeout Faust would give up silently and hang."""
        return self.request_seconds / 2


def worker_settings(environ: Mapping[str, str]) -> WorkerSettings:
    """The settings of a process. Raises ValueError for a value that is no number."""
    given = {
        field.name: float(environ[PREFIX + field.name.upper()])
        for field in fields(WorkerSettings)
        if environ.get(PREFIX + field.name.upper())
    }
    return replace(WorkerSettings(), **given)
