"""Live workers under somebody who starts again what ended, as the supervisor does, and who can give them orders."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shared.environment import REPOSITORY
from tests.runtime.workers import wait_until

BACK_AFTER_SECONDS = 0.3
END_SECONDS_MAX = 60.0
LOOK_SECONDS = 0.05


class Slot:
    """A place for one worker of a projection; whoever works there has its orders and its log."""

    def __init__(self, projection: str, number: int, folder: Path, variables: Mapping[str, str]) -> None:
        self.projection = projection
        self.name = f"{projection}-{number}"
        self._orders, self._log = folder / f"{self.name}.orders", folder / f"{self.name}.log"
        self.steps = folder / f"{self.name}.steps"
        self._variables = variables
        self.process: subprocess.Popen[bytes] | None = None
        self.resting = False  # nobody works here for now
        self.ends: Counter[int] = Counter()  # exit status -> how often
        self._ended_at = 0.0

    def start(self) -> None:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.chaos.worker", self.projection,
                 "--orders", str(self._orders), "--steps", str(self.steps)],
                cwd=REPOSITORY, env=dict(self._variables), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=log,
            )  # fmt: skip

    def look(self) -> None:
        """Notes an end, and some moments later starts a new worker."""
        if self.process is not None and (status := self.process.poll()) is not None:
            self.ends[status] += 1
            self.process, self._ended_at = None, time.monotonic()
        if self.process is None and not self.resting and time.monotonic() - self._ended_at > BACK_AFTER_SECONDS:
            self.start()

    def order(self, verb: str, point: str) -> None:
        whole = self._orders.with_suffix(".new")
        whole.write_text(f"{verb} {point}")
        whole.rename(self._orders)

    def withdraw(self) -> bool:
        """Takes back an order; whether it was still there."""
        try:
            self._orders.unlink()
        except FileNotFoundError:
            return False
        return True

    def signal(self, number: int) -> bool:
        """Whether there was somebody to be told."""
        process = self.process
        if process is None or process.poll() is not None:
            return False
        process.send_signal(number)
        return True

    def is_frozen(self) -> bool:
        process = self.process
        try:
            state = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] if process else ""
        except FileNotFoundError:
            return False
        return state == "T"

    def logged(self, event: str, after: int = 0) -> list[dict[str, Any]]:
        """The lines of one event in the part of the log that begins behind `after` bytes."""
        with self._log.open("rb") as log:
            log.seek(after)
            lines = log.read().decode(errors="replace").splitlines()
        entries = (json.loads(line) for line in lines if line.startswith("{") and line.endswith("}"))
        return [entry for entry in entries if entry.get("event") == event]

    def log_size(self) -> int:
        return self._log.stat().st_size if self._log.exists() else 0

    def tail(self) -> str:
        return self._log.read_text(errors="replace")[-3000:]


class Crew:
    """All slots, looked after by a thread. Used as a context: in the end nobody works any more."""

    def __init__(self, numbers: Mapping[str, int], folder: Path, variables: Mapping[str, str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._variables = folder, variables
        self.slots = [self._slot(name, number) for name, many in numbers.items() for number in range(many)]
        self._lock = threading.RLock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="crew", daemon=True)

    def __enter__(self) -> "Crew":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        for slot in self.slots:
            slot.signal(signal.SIGCONT)
            slot.signal(signal.SIGTERM)
        for slot in self.slots:
            if slot.process is not None:
                try:
                    slot.process.wait(END_SECONDS_MAX)
                except subprocess.TimeoutExpired:
                    slot.process.kill()
                    slot.process.wait()

    def of(self, projection: str) -> list[Slot]:
        """Those where somebody is meant to work."""
        return [slot for slot in self.slots if slot.projection == projection and not slot.resting]

    def kill(self, slot: Slot) -> None:
        """With -9, whatever it does now; returns once it has ended."""
        before = slot.ends.total()
        wait_until(END_SECONDS_MAX, lambda: slot.signal(signal.SIGKILL), every=LOOK_SECONDS)
        wait_until(END_SECONDS_MAX, lambda: slot.ends.total() > before, every=LOOK_SECONDS)

    def join(self, projection: str) -> Slot:
        """One worker more."""
        with self._lock:
            slot = self._slot(projection, len(self.slots))
            self.slots.append(slot)
        return slot

    def leave(self, slot: Slot) -> None:
        """The worker ends in order, and nobody follows."""
        slot.resting = True
        slot.signal(signal.SIGTERM)

    def _slot(self, projection: str, number: int) -> Slot:
        return Slot(projection, number, self._folder, self._variables)

    def _look(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            with self._lock:
                for slot in self.slots:
                    slot.look()


def kills(slots: Sequence[Slot]) -> int:
    """How many workers ended by SIGKILL."""
    return sum(slot.ends[-signal.SIGKILL] for slot in slots)
