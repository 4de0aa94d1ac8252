"""How far a projection is behind and what becomes of it, worked out from what was observed; pure.

Lag in seconds is 0 at the log's end, else the age of the first record not yet applied: how old what readers see may be.
A stalled projection (work, a worker, and no advance) is told from an idle one (no work) and from a stopped one (no
worker).
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from projectors.runtime.stores.port import Partition

RATE_WINDOW_SECONDS = 30.0


class State(StrEnum):
    """From best to worst; a projection's is the worst of its partitions'."""

    IDLE = "idle"  # at the log's end, and a worker waits there
    ADVANCING = "advancing"
    NEVER_STARTED = "never_started"  # no worker, and none ever was
    STOPPED = "stopped"  # no worker any more
    STALLED = "stalled"  # a worker, records to apply, and no advance for too long
    AHEAD = "ahead"  # the position lies beyond the log's end: the log lost its tail
    UNKNOWN = "unknown"  # the store or the broker did not answer


WORST_LAST = tuple(State)


@dataclass(frozen=True, slots=True)
class Observation:
    """What was seen of one partition of one projection. Times are in unix seconds."""

    projection: str
    partition: Partition
    position: int  # the next record to apply
    end: int
    epoch: int = 0  # how often a worker took it over; 0: never
    owner: str | None = None
    advanced_at: float | None = None  # where the store tells
    parked: int | None = 0  # None: where they lie does not answer
    committed: int | None = None
    worker: bool = False  # whether a member of the group has it, or will once they have shared the partitions out
    appended_at: float | None = None  # of the first record not yet applied
    nothing_left: bool = False  # that record and all behind it were deleted since


class History:
    """Where one partition was, over the last RATE_WINDOW_SECONDS; tells what moves, and how fast."""

    def __init__(self) -> None:
        self._points: deque[tuple[float, int, int]] = deque()
        self.moved_at: float | None = None  # unix seconds of the last advance that was seen

    def add(self, at: float, position: int, end: int) -> None:
        """`at` in unix seconds, not before the earlier ones. A position that was set back begins anew."""
        points = self._points
        if points and (position < points[-1][1] or end < points[-1][2] or at <= points[-1][0]):
            points.clear()
        if points and position > points[-1][1]:
            self.moved_at = at
        points.append((at, position, end))
        while at - points[0][0] > RATE_WINDOW_SECONDS and len(points) > 2:
            points.popleft()

    def rates(self) -> tuple[float, float] | None:
        """Records applied and appended a second; None until two looks were taken."""
        if len(self._points) < 2:
            return None
        (began, position, end), (at, to_position, to_end) = self._points[0], self._points[-1]
        return (to_position - position) / (at - began), (to_end - end) / (at - began)


@dataclass(frozen=True)
class PartitionFigures:
    """`rate` and `append_rate` in records a second. What is None is not known, but for `drain_seconds`: there it also
    means that the end is not being reached."""

    projection: str
    topic: str
    partition: int
    state: State
    position: int
    end: int
    lag_records: int
    lag_seconds: float | None
    rate: float | None
    append_rate: float | None
    drain_seconds: float | None
    advanced_at: float | None  # unix seconds
    seconds_since_advance: float | None
    parked: int | None
    rebalances: int
    committed: int | None
    commit_drift: int | None
    owner: str | None


@dataclass(frozen=True)
class ProjectionFigures:
    """Sums over the partitions, but for times: there the worst. `workers` is None while the broker does not tell."""

    projection: str
    state: State
    workers: int | None
    partitions: tuple[PartitionFigures, ...]

    @property
    def worst(self) -> PartitionFigures | None:
        """The partition that an operator looks at first."""
        return max(
            self.partitions,
            key=lambda each: (
                WORST_LAST.index(each.state),
                each.lag_seconds or 0.0,
                each.lag_records,
                each.parked or 0,
            ),
            default=None,
        )

    @property
    def lag_records(self) -> int:
        return sum(each.lag_records for each in self.partitions)

    @property
    def lag_seconds(self) -> float | None:
        """None as soon as one partition's is not known."""
        each_of = [each.lag_seconds for each in self.partitions]
        known = [each for each in each_of if each is not None]
        return max(known) if known and len(known) == len(each_of) else None

    @property
    def rate(self) -> float | None:
        return _sum(each.rate for each in self.partitions)

    @property
    def append_rate(self) -> float | None:
        return _sum(each.append_rate for each in self.partitions)

    @property
    def drain_seconds(self) -> float | None:
        """None while a partition with lag does not move, whatever the others do."""
        stuck = any(each.lag_records and each.state in (State.STALLED, State.STOPPED) for each in self.partitions)
        return None if stuck else drain_seconds(self.lag_records, self.rate, self.append_rate)

    @property
    def seconds_since_advance(self) -> float | None:
        known = [e.seconds_since_advance for e in self.partitions if e.seconds_since_advance is not None]
        return min(known, default=None)

    @property
    def parked(self) -> int | None:
        """None as soon as one partition's is not known."""
        known = [each.parked for each in self.partitions if each.parked is not None]
        return sum(known) if len(known) == len(self.partitions) else None

    @property
    def rebalances(self) -> int:
        return max((each.rebalances for each in self.partitions), default=0)

    @property
    def commit_drift(self) -> int | None:
        """The greatest, whichever its sign."""
        drifts = [each.commit_drift for each in self.partitions if each.commit_drift is not None]
        return max(drifts, key=abs, default=None)


@dataclass(frozen=True)
class Report:
    """One look at everything. `troubles` says in a sentence each what could not be asked."""

    at: float  # unix seconds
    stalled_seconds: float
    projections: tuple[ProjectionFigures, ...]
    troubles: tuple[str, ...] = field(default=())

    @property
    def partitions(self) -> Iterable[PartitionFigures]:
        return (each for projection in self.projections for each in projection.partitions)


def figures(
    seen: Observation, history: History, now: float, stalled_seconds: float, others_moved_at: float | None = None
) -> PartitionFigures:
    """`others_moved_at`: the last advance seen of any partition of the projection; it stands in where a store does not
    tell its own and this partition was not seen to move. `now` in unix seconds."""
    lag = max(0, seen.end - seen.position)
    advanced_at = max((at for at in (seen.advanced_at, history.moved_at) if at is not None), default=None)
    rates = history.rates()
    rate, append_rate = rates if rates is not None else (None, None)
    at_the_end = lag == 0 or seen.nothing_left
    if at_the_end:
        lag_seconds: float | None = 0.0
    else:
        lag_seconds = None if seen.appended_at is None else max(0.0, now - seen.appended_at)
    moved_at = advanced_at if advanced_at is not None else others_moved_at
    # A record that came a moment ago has not waited since the last advance, which may be hours back.
    waiting_since = max((at for at in (moved_at, seen.appended_at) if at is not None), default=now)
    return PartitionFigures(
        projection=seen.projection,
        topic=seen.partition.topic,
        partition=seen.partition.number,
        state=_state(seen, at_the_end, now - waiting_since > stalled_seconds),
        position=seen.position,
        end=seen.end,
        lag_records=lag,
        lag_seconds=lag_seconds,
        rate=rate,
        append_rate=append_rate,
        drain_seconds=0.0 if at_the_end else drain_seconds(lag, rate, append_rate),
        advanced_at=advanced_at,
        seconds_since_advance=None if advanced_at is None else max(0.0, now - advanced_at),
        parked=seen.parked,
        rebalances=seen.epoch,
        committed=seen.committed,
        commit_drift=None if seen.committed is None else seen.position - seen.committed,
        owner=seen.owner,
    )


def drain_seconds(lag: int, rate: float | None, append_rate: float | None) -> float | None:
    """How long until the end is reached if both go on as they did; None when it never is, or is not known."""
    if lag == 0:
        return 0.0
    if rate is None or append_rate is None or rate <= append_rate:
        return None
    return lag / (rate - append_rate)


def summary(projection: str, partitions: Sequence[PartitionFigures], workers: int | None) -> ProjectionFigures:
    """A projection without partitions is one that could not be asked."""
    state = max((each.state for each in partitions), key=WORST_LAST.index, default=State.UNKNOWN)
    return ProjectionFigures(projection, state, workers, tuple(partitions))


def document(report: Report) -> dict[str, Any]:
    """The report as JSON has it, everywhere alike: `rookery lag --json`, the monitor, the query API."""
    return {
        "measured_at": moment(report.at),
        "stalled_seconds": report.stalled_seconds,
        "troubles": list(report.troubles),
        "projections": [_projection_document(each) for each in report.projections],
    }


def moment(at: float) -> str:
    """RFC 3339, UTC, with microseconds."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _projection_document(found: ProjectionFigures) -> dict[str, Any]:
    names = (
        "lag_records", "lag_seconds", "rate", "append_rate", "drain_seconds", "seconds_since_advance", "parked",
        "rebalances", "commit_drift",
    )  # fmt: skip
    return {
        "projection": found.projection,
        "state": found.state.value,
        "workers": found.workers,
        **{name: _rounded(getattr(found, name)) for name in names},
        "partitions": [_partition_document(each) for each in found.partitions],
    }


def _partition_document(found: PartitionFigures) -> dict[str, Any]:
    given = {name: _rounded(value) for name, value in asdict(found).items()}
    advanced_at = None if found.advanced_at is None else moment(found.advanced_at)
    return given | {"state": found.state.value, "advanced_at": advanced_at}


def _state(seen: Observation, at_the_end: bool, waited_too_long: bool) -> State:
    if seen.position > seen.end:
        return State.AHEAD
    if not seen.worker:
        return State.STOPPED if seen.epoch else State.NEVER_STARTED
    if at_the_end:
        return State.IDLE
    return State.STALLED if waited_too_long else State.ADVANCING


def _sum(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _rounded(value: Any) -> Any:
    """Milliseconds are what the log tells; more digits would be noise."""
    return round(value, 3) if isinstance(value, float) else value
