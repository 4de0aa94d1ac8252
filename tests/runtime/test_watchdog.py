"""Claim: the watchdog gives a reason to end the process for each way to hang, and none for what only looks like one.

Oracle: the settings' times, at moments chosen here. That a reason really ends the process is shown by
tests/integration/test_engine.py. Cannot catch: a hang that none of its questions show.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import pytest
from confluent_kafka import KafkaError, KafkaException

from projectors.runtime.log_ends import LogEnds
from projectors.runtime.settings import WorkerSettings, worker_settings
from projectors.runtime.stores.port import Partition
from projectors.runtime.watchdog import EXIT_STATUS, LOOK_SECONDS, MEASURE_LAG_SECONDS, Watchdog

HERE = Partition("posts", 0)
SETTINGS = WorkerSettings(stalled_seconds=0)


@dataclass
class State:
    """A worker's state as the watchdog sees it."""

    since: float | None = None
    assigned: bool = True
    stops: bool = False
    out: bool = False
    offsets: dict[Partition, int] = field(default_factory=dict)
    failed_at: float = 0.0
    left: bool = False

    def tick(self, answered: Callable[[], None]) -> None:
        """A loop that never answers."""

    def rebalancing_since(self) -> float | None:
        return self.since

    def ever_assigned(self) -> bool:
        return self.assigned

    def stopping(self) -> bool:
        return self.stops

    def is_out_of_group(self) -> bool:
        return self.out

    def applied(self) -> Mapping[Partition, int]:
        return dict(self.offsets)

    def store_failed_at(self) -> float:
        return self.failed_at

    def leave(self) -> None:
        self.left = True


class Ends(LogEnds):
    """Ends as given; None is a broker that is away."""

    def __init__(self, end: int | None) -> None:
        self.end = end

    def ends(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        if self.end is None:
            raise KafkaException(KafkaError(KafkaError._TRANSPORT))
        return dict.fromkeys(partitions, self.end)


def watchdog(state: State, end: int | None = 0) -> Watchdog:
    return Watchdog(state, Ends(end), SETTINGS)


def stalled(watching: Watchdog) -> str | None:
    """What a measurement made now says."""
    watching._measure()
    return watching._stalled()


def test_a_blocked_loop() -> None:
    watching = watchdog(State())
    begun = watching._answered_at
    assert watching._reason(begun + SETTINGS.blocked_seconds - 1) is None
    assert "blocked" in str(watching._reason(begun + SETTINGS.blocked_seconds + 1))


def test_a_rebalance_that_does_not_end_has_more_time_at_the_start() -> None:
    for assigned, allowed in ((True, SETTINGS.unassigned_seconds), (False, SETTINGS.starting_seconds)):
        state = State(assigned=assigned)
        watching = watchdog(state)
        now = watching._answered_at
        state.since = now - allowed + 1
        assert watching._reason(now) is None
        state.since = now - allowed - 1
        assert "rebalance" in str(watching._reason(now))


def test_a_client_that_takes_no_part_in_its_group_unless_it_stops() -> None:
    """It would be given no partition, and so never have a lag."""
    state = State(out=True)
    watching = watchdog(state)
    assert "group" in str(watching._reason(watching._answered_at))
    state.stops = True
    assert watching._reason(watching._answered_at) is None


def test_a_shutdown_that_does_not_end_counts_from_its_beginning_alone() -> None:
    state = State(since=0.0, stops=True)
    watching = watchdog(state)
    now = watching._answered_at
    assert watching._reason(now + 100) is None
    assert watching._reason(now + 100 + SETTINGS.stopping_seconds - 1) is None
    assert "shutdown" in str(watching._reason(now + 100 + SETTINGS.stopping_seconds + 1))


def test_a_partition_that_stands_still_behind_the_end() -> None:
    watching = watchdog(State(offsets={HERE: 5}), end=6)
    assert stalled(watching) is None
    time.sleep(0.002)
    assert stalled(watching) == "posts:0 stands at 5 of 6"


@pytest.mark.parametrize("end", [5, None])
def test_nothing_to_do_and_a_broker_away_are_no_stall(end: int | None) -> None:
    watching = watchdog(State(offsets={HERE: 5}), end)
    assert [stalled(watching) for _ in range(3)] == [None, None, None]


def test_moving_on_is_no_stall() -> None:
    state = State(offsets={HERE: 5})
    watching = watchdog(state, end=100)
    for offset in range(5, 9):
        state.offsets = {HERE: offset}
        assert stalled(watching) is None


def test_a_store_that_is_away_is_no_stall_until_it_fails_no_more() -> None:
    """Retrying has a time of its own (runtime/retrying.py); a worker ended for it would only wait again."""
    state = State(offsets={HERE: 5})
    watching = Watchdog(state, Ends(6), WorkerSettings(stalled_seconds=0.05))
    for _ in range(4):
        state.failed_at = time.monotonic()
        assert stalled(watching) is None
        time.sleep(0.03)
    time.sleep(0.05)
    assert stalled(watching) == "posts:0 stands at 5 of 6"


def test_the_time_of_a_rebalance_is_no_stall() -> None:
    """Behind a dead member it may last nearly as long as a stall."""
    state = State(offsets={HERE: 5})
    watching = Watchdog(state, Ends(6), WorkerSettings(stalled_seconds=0.05))
    assert stalled(watching) is None
    state.since = time.monotonic()
    time.sleep(0.1)
    assert watching._reason(time.monotonic()) is None
    state.since = None
    assert stalled(watching) is None
    time.sleep(0.1)
    assert stalled(watching) == "posts:0 stands at 5 of 6"


def test_a_partition_waits_longer_for_others_that_advance() -> None:
    """Where batches take seconds, a partition's turn comes late; left behind for good, it is a hang of its own."""
    elsewhere = Partition("posts", 1)
    state = State(offsets={HERE: 5, elsewhere: 0})
    watching = Watchdog(state, Ends(100), WorkerSettings(stalled_seconds=0.05, starved_seconds=0.3))
    begun = time.monotonic()
    reason = None
    while reason is None:
        state.offsets[elsewhere] += 1
        reason = stalled(watching)
        time.sleep(0.02)
        assert time.monotonic() - begun < 5
    assert reason == "posts:0 stands at 5 of 100"
    assert time.monotonic() - begun > 0.3


def test_however_a_worker_hangs_its_successor_is_at_work_within_20_seconds() -> None:
    """The rest is measured: a look, a farewell, an end, a start and a join (tests/chaos/test_hangs.py)."""
    shipped = WorkerSettings()
    rest = 20 - 2 * LOOK_SECONDS - 1
    assert shipped.stalled_seconds + MEASURE_LAG_SECONDS + 4 <= rest
    assert shipped.blocked_seconds + 4 <= rest
    assert shipped.unassigned_seconds + 4 <= rest
    assert shipped.fence_seconds + shipped.stopping_seconds + 4 <= rest
    # And what goes well is left to do so: a join behind a member that does not answer, a dead one, a slow fence.
    assert shipped.rebalance_seconds < shipped.unassigned_seconds < shipped.starting_seconds
    assert shipped.session_seconds < shipped.rebalance_seconds
    assert shipped.fence_seconds < shipped.unassigned_seconds


def test_the_group_is_told_before_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the partitions would be nobody's until the session is over."""
    state = State(since=0.0)
    ended: list[bool] = []

    def end(status: int) -> None:
        ended.append(state.left)
        raise SystemExit

    monkeypatch.setattr("projectors.runtime.watchdog.LOOK_SECONDS", 0.01)
    monkeypatch.setattr("projectors.runtime.watchdog.os._exit", end)
    with pytest.raises(SystemExit):
        watchdog(state).run()
    assert ended == [True]


def test_a_broker_slow_to_tell_its_ends_hides_no_blocked_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    class SlowEnds(Ends):
        def ends(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
            time.sleep(0.2)
            return super().ends(partitions)

    class Ended(BaseException):
        pass

    def ended(status: int) -> None:
        assert status == EXIT_STATUS
        raise Ended

    monkeypatch.setattr("projectors.runtime.watchdog.LOOK_SECONDS", 0.02)
    monkeypatch.setattr("projectors.runtime.watchdog.os._exit", ended)
    watching = Watchdog(State(offsets={HERE: 5}), SlowEnds(5), WorkerSettings(stalled_seconds=0.03, blocked_seconds=1))
    begun = time.monotonic()
    with pytest.raises(Ended):
        _run_for(watching, 4)
    assert time.monotonic() - begun < 3


def test_a_frozen_broker_delays_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """To ask it for its ends takes as long as the client waits; a stop that does not end is noticed meanwhile."""
    asked, answered = threading.Event(), threading.Event()

    class FrozenEnds(Ends):
        def ends(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
            asked.set()
            answered.wait(60)
            return super().ends(partitions)

    class Ended(BaseException):
        pass

    def ended(status: int) -> None:
        raise Ended

    state = State(offsets={HERE: 5})
    monkeypatch.setattr("projectors.runtime.watchdog.LOOK_SECONDS", 0.01)
    monkeypatch.setattr("projectors.runtime.watchdog.os._exit", ended)
    watching = Watchdog(state, FrozenEnds(5), WorkerSettings(stalled_seconds=0.01, stopping_seconds=0.05))

    def stop_once_asked() -> None:
        asked.wait(10)
        state.stops = True

    threading.Thread(target=stop_once_asked, daemon=True).start()
    with pytest.raises(Ended):
        watching.run()
    assert not answered.is_set()
    answered.set()


def _run_for(watching: Watchdog, seconds: float) -> None:
    """Runs the watchdog here; what it watches begins to stop after `seconds`, which ends it too, but later."""
    threading.Timer(seconds, lambda: setattr(watching._watched, "stops", True)).start()
    watching.run()


def test_settings_come_from_the_environment() -> None:
    assert worker_settings({"ROOKERY_WORKER_SESSION_SECONDS": "10"}).session_seconds == 10
    assert worker_settings({}).fence_seconds < worker_settings({}).request_seconds
    with pytest.raises(ValueError, match="soon"):
        worker_settings({"ROOKERY_WORKER_SESSION_SECONDS": "soon"})
