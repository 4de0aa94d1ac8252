"""Progress bars on standard error: how much, how fast, how long yet. Where that is no terminal, a line now and then."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from infra.cli.output import progress as console
from infra.cli.output import say

LINE_SECONDS = 10


class Rate(ProgressColumn):
    """Steps a second since the bar began."""

    def render(self, task: Task) -> Text:
        speed = task.completed / task.elapsed if task.elapsed else 0.0
        return Text(f"{speed:,.0f}/s")


@contextmanager
def track(title: str, total: int) -> Iterator[Callable[..., None]]:
    """Gives a function to be called after each step, or with a number after several."""
    if not console.is_terminal:
        yield _Lines(title, total).advance
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Rate(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bars:
        task = bars.add_task(title, total=total)

        def advance(steps: int = 1) -> None:
            bars.advance(task, steps)

        yield advance


class _Lines:
    def __init__(self, title: str, total: int) -> None:
        self._title, self._total, self._done = title, total, 0
        self._began = self._said = time.monotonic()

    def advance(self, steps: int = 1) -> None:
        self._done += steps
        now = time.monotonic()
        if self._done >= self._total or now - self._said >= LINE_SECONDS:
            self._said = now
            rate = self._done / max(now - self._began, 1e-9)
            say(f"{self._title}: {self._done:,} of {self._total:,}, {rate:,.0f}/s")
