"""Claim: a worker that hangs, in each way that Faust has been seen to, ends by itself, and what supervisord starts in
its place applies records again within 20 s of the hang's beginning. Without its protection each hang lasts.

Oracle: the clock, the positions in the store, and a plain recount of the log. Real workers under a real supervisord
with the shipped settings; the hangs are planted (tests/runtime/hanging.py), the broker is really frozen. The limit has
room for what this very machine takes longer to start a worker than a quiet one. Cannot catch: a hang nobody has seen.
"""

import asyncio
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from infra.local.installation import Installation, run_directory
from infra.local.programs import Program, is_configuration, python
from infra.local.supervision import Supervisor
from projectors.counters.fold import PROJECTION
from projectors.runtime.lag import wait_until_caught_up
from projectors.runtime.settings import WorkerSettings
from schemas.types import Event
from tests.chaos.system import System
from tests.runtime.engine import Engine, Ids, Log, own_engine
from tests.runtime.hanging import FAREWELL_SECONDS, SLOW_SECONDS
from tests.runtime.history import Town, counted, recounted
from tests.runtime.workers import wait_until, workers_of

AT_WORK_AGAIN_SECONDS_MAX = 20.0
START_SECONDS = 4.0  # on a machine that has nothing else to do
LASTING_SECONDS = 6.0  # what advances in none of them is taken to hang for ever
SHIPPED = WorkerSettings()
AT_THE_START = ("fence-stuck", "coordination-fails")  # the others befall a worker that is at work


@pytest.fixture(scope="module")
def engine(system: System) -> Iterator[Engine]:
    with own_engine(PROJECTION, variables=system.variables) as made:
        yield made


class Stream:
    """Events that come all the time, as many as show that records are being applied."""

    def __init__(self, engine: Engine) -> None:
        self.produced: list[Event] = []
        self._engine = engine
        self._town = Town(Ids(21), people=30)
        self._log = Log(engine.environment)
        self._enough = threading.Event()

    @contextmanager
    def flowing(self) -> Iterator[None]:
        self._enough.clear()
        thread = threading.Thread(target=self._flow)
        thread.start()
        try:
            yield
        finally:
            self._enough.set()
            thread.join()

    def _flow(self) -> None:
        while not self._enough.wait(0.05):
            self._append(20)

    def append_one(self) -> None:
        self._append(1)

    def _append(self, number: int) -> None:
        some = list(self._town.events(number))
        self.produced += some
        self._log.append(some)


@pytest.fixture(scope="module")
def stream(engine: Engine) -> Stream:
    return Stream(engine)


def applied(engine: Engine) -> int:
    """The records applied so far, all partitions together."""
    [(number,)] = engine.rows("select coalesce(sum(next_offset), 0)::int from counters.position")
    return int(number)


def await_progress(engine: Engine, seconds: float) -> None:
    before = applied(engine)
    wait_until(seconds, lambda: applied(engine) > before)


class Supervised:
    """A worker under supervisord, as in production: started again whenever it ends."""

    def __init__(self, engine: Engine, folder: Path, hang: str) -> None:
        self.flag = folder / "hang"
        self._engine = engine
        installation = Installation(replace(engine.environment, var=folder), run_directory(folder))
        for directory in (installation.logs, installation.run_directory):
            directory.mkdir(parents=True, exist_ok=True)
        variables = {name: value for name, value in engine.environ.items() if is_configuration(name)}
        command = [python(), "-m", "tests.runtime.hanging", hang, str(self.flag)]
        self._log = installation.log_of("worker")
        self._program = Program("worker", command, variables | {"PYTHONUNBUFFERED": "1"}, stop_seconds=15)
        self._supervisor = Supervisor(installation)

    @contextmanager
    def running(self) -> Iterator[None]:
        self._supervisor.start([self._program])
        try:
            self._supervisor.launch(["worker"])
            yield
        finally:
            self._supervisor.shut_down()

    def pid(self) -> int:
        return int(self._supervisor.states()["worker"]["pid"])

    def text(self) -> str:
        return self._log.read_text(errors="replace")

    def seconds_to_start(self, launched: float) -> float:
        """How long the first start that came to a fence took, from `launched` (time.monotonic())."""
        fenced = next(json.loads(line) for line in self.text().splitlines() if '"event": "fenced"' in line)
        at = datetime.fromisoformat(fenced["timestamp"]).timestamp()
        return at - time.time() + time.monotonic() - launched


def whole(engine: Engine, stream: Stream) -> None:
    """Nothing was lost or done twice on the way."""
    assert asyncio.run(wait_until_caught_up(engine.environment, 60, projections=[PROJECTION]))
    left = " union all ".join(f"select 1 from counters.{name} where done_at is null" for name in ("erased", "gone"))
    wait_until(30, lambda: not engine.rows(left))
    assert counted(engine) == recounted(stream.produced)


@pytest.mark.parametrize(
    ("hang", "reason"),
    [
        ("loop-blocked", "event loop is blocked"),
        ("batch-stuck", "stands at"),
        ("fence-stuck", "TimeoutError"),  # its own deadline, and then as with any error
        ("fetch-fails", "planted"),
        ("coordination-fails", "no part in its group"),
    ],
)
def test_a_hang_ends_and_records_are_applied_again(
    engine: Engine, stream: Stream, tmp_path: Path, hang: str, reason: str
) -> None:
    worker = Supervised(engine, tmp_path, hang)
    if hang in AT_THE_START:
        worker.flag.touch()
    started = time.monotonic()
    with worker.running():
        with stream.flowing():
            if hang not in AT_THE_START:
                await_progress(engine, 90)
                worker.flag.touch()
            first = wait_until(30, worker.pid)
            wait_until(90, lambda: not worker.flag.exists(), every=0.01)
            began = time.monotonic()
            wait_until(90, lambda: worker.pid() not in (0, first))
            ended = time.monotonic() - began
            await_progress(engine, 90)
            again = time.monotonic() - began
        launched = began + ended if hang in AT_THE_START else started
        slower = max(0.0, worker.seconds_to_start(launched) - START_SECONDS)
        print(f"\n  {hang}: ended after {ended:.1f} s, at work again after {again:.1f} s"
              f" (here a start takes {slower:.1f} s longer than it should)")  # fmt: skip
        assert reason in worker.text()
        assert again < AT_WORK_AGAIN_SECONDS_MAX + 2 * slower
        whole(engine, stream)


def test_a_worker_told_to_stop_ends_while_the_broker_is_frozen(
    system: System, engine: Engine, stream: Stream, tmp_path: Path
) -> None:
    """And so does one that is then started: once the broker is back, its successor is at work."""
    worker = Supervised(engine, tmp_path, "none")
    started = time.monotonic()
    with worker.running():
        with stream.flowing():
            await_progress(engine, 90)
        slower = max(0.0, worker.seconds_to_start(started) - START_SECONDS)
        first = worker.pid()
        with system.frozen("kafka"):
            time.sleep(1)
            os.kill(first, signal.SIGTERM)
            began = time.monotonic()
            wait_until(90, lambda: worker.pid() != first)
            ended = time.monotonic() - began
            time.sleep(LASTING_SECONDS)
        began = time.monotonic()
        with stream.flowing():
            await_progress(engine, 90)
            again = time.monotonic() - began
        print(f"\n  broker frozen: ended {ended:.1f} s after SIGTERM, at work {again:.1f} s after it was back"
              f" (here a start takes {slower:.1f} s longer than it should)")  # fmt: skip
        assert ended < SHIPPED.stopping_seconds + 5 + 2 * slower
        assert again < AT_WORK_AGAIN_SECONDS_MAX + 2 * slower
        whole(engine, stream)


QUICK_REQUESTS = {
    "ROOKERY_WORKER_REQUEST_SECONDS": "6",
    "ROOKERY_WORKER_SESSION_SECONDS": "6",
}


@pytest.mark.parametrize(
    ("hang", "without", "settings"),
    [
        ("coordination-fails", (), {}),
        ("batch-slow", ("long-interval",), {"ROOKERY_WORKER_BATCH_RECORDS_MAX": "20"}),
        ("fence-slow", ("fence-deadline",), QUICK_REQUESTS),
        # Nothing is told to the group before the end, so that there is something to be told then.
        ("fetch-fails", ("commit-timeout",), {"ROOKERY_WORKER_COMMIT_SECONDS": "3600"}),
    ],
)
def test_without_its_protection_and_the_watchdog_a_hang_lasts(
    engine: Engine, stream: Stream, tmp_path: Path, hang: str, without: tuple[str, ...], settings: dict[str, str]
) -> None:
    """What made it hang is long over, the process lives, records come, and none is applied."""
    # Whether Faust's own threads end in the order in which it hangs is a race, which a busy machine may turn.
    tries = 3 if hang == "fetch-fails" else 1
    with stream.flowing():
        assert any(lasts(engine, tmp_path / str(nth), hang, without, settings) for nth in range(tries))


def lasts(engine: Engine, folder: Path, hang: str, without: tuple[str, ...], settings: dict[str, str]) -> bool:
    """Whether a worker that hangs does so for as long as the test waits; it may apply nothing in either case."""
    folder.mkdir()
    flag = folder / "hang"
    with workers_of(engine, folder) as workers:
        at_the_start = hang in ("fence-slow", *AT_THE_START)
        if at_the_start:
            flag.touch()
        worker = workers.start("-m", "tests.runtime.hanging", hang, str(flag), "watchdog", *without, **settings)
        if not at_the_start:
            await_progress(engine, 90)
            flag.touch()
        wait_until(90, lambda: not flag.exists())
        time.sleep((SLOW_SECONDS if hang.endswith("slow") else FAREWELL_SECONDS) + 2)
        before = applied(engine)
        time.sleep(LASTING_SECONDS)
        assert applied(engine) == before, worker.text()
        if worker.process.poll() is not None:
            return False
        if hang == "fetch-fails":
            worker.process.terminate()
            time.sleep(LASTING_SECONDS)
            assert worker.process.poll() is None, "a crashed worker used to ignore this"
        return True


def test_sigterm_while_the_broker_is_frozen_is_not_obeyed_without_the_watchdog(
    system: System, engine: Engine, stream: Stream, tmp_path: Path
) -> None:
    with workers_of(engine, tmp_path) as workers:
        worker = workers.start("-m", "tests.runtime.hanging", "none", str(tmp_path / "hang"), "watchdog")
        with stream.flowing():
            await_progress(engine, 90)
        with system.frozen("kafka"):
            time.sleep(1)
            worker.process.terminate()
            time.sleep(SHIPPED.stopping_seconds + LASTING_SECONDS)
            assert worker.process.poll() is None, worker.text()


def test_a_batch_that_fails_ends_the_worker_and_is_skipped_by_fausts_own_supervisor(
    engine: Engine, stream: Stream, tmp_path: Path
) -> None:
    """Where nothing comes behind it, the store has nothing to refuse: the batch would be missing without a word."""
    flag = tmp_path / "hang"
    for without in ((), ("watchdog", "crashing")):
        with workers_of(engine, tmp_path) as workers:
            worker = workers.start("-m", "tests.runtime.hanging", "batch-fails", str(flag), *without)
            with stream.flowing():
                await_progress(engine, 90)
            assert asyncio.run(wait_until_caught_up(engine.environment, 60, projections=[PROJECTION]))
            flag.touch()
            before = applied(engine)
            stream.append_one()
            wait_until(30, lambda: not flag.exists())
            if without:
                time.sleep(LASTING_SECONDS)
                assert worker.process.poll() is None, worker.text()
            else:
                assert worker.process.wait(30) == 1, worker.text()
            assert applied(engine) == before
    with workers_of(engine, tmp_path) as workers:
        workers.start()
        whole(engine, stream)
