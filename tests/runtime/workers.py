"""Live worker processes of a test's own: started, killed, frozen, and asked what they logged."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shared.environment import REPOSITORY
from tests.runtime.engine import Engine

LIVE = ("-m", "projectors.runtime.live", "counters")


class Worker:
    """One process; its log is a file of JSON lines."""

    def __init__(self, engine: Engine, log: Path, arguments: tuple[str, ...], environ: Mapping[str, str]) -> None:
        self._log = log
        self.process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=REPOSITORY,
            env={**engine.environ, **environ},
            stdout=subprocess.DEVNULL,
            stderr=log.open("wb"),
        )

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)

    def end(self) -> None:
        """In order: it leaves its group, and nobody waits for its session to be over."""
        self.process.terminate()
        self.process.wait(20)

    def freeze(self) -> None:
        os.kill(self.process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.process.pid, signal.SIGCONT)

    def logged(self, event: str) -> list[dict[str, Any]]:
        """The log's lines of one event."""
        lines = []
        for line in self._log.read_text(errors="replace").splitlines():
            if line.startswith("{"):
                entry = json.loads(line)
                if entry.get("event") == event:
                    lines.append(entry)
        return lines

    def text(self) -> str:
        """The end of all it wrote, for a failing test's message."""
        return self._log.read_text(errors="replace")[-4000:]


class Workers:
    """The workers of one test."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self._engine = engine
        self._folder = folder
        self.all: list[Worker] = []

    def start(self, *arguments: str, **environ: str) -> Worker:
        """A live worker of the counters, or another Python process by its arguments; `environ` is added to its
        variables."""
        worker = Worker(self._engine, self._folder / f"worker-{len(self.all)}.log", arguments or LIVE, environ)
        self.all.append(worker)
        return worker


@contextmanager
def workers_of(engine: Engine, folder: Path) -> Iterator[Workers]:
    """Workers that are all gone in the end."""
    workers = Workers(engine, folder)
    try:
        yield workers
    finally:
        for worker in workers.all:
            worker.kill()


def wait_until(seconds: float, what: Callable[[], Any], every: float = 0.05) -> Any:
    """What `what` answers once it is true. Fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (answer := what()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(every)
    return answer
