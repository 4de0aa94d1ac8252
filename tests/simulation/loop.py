"""An event loop whose time is simulated and whose every turn is decided by one seed; processes in it can be killed.

Callbacks run in the order of their simulated times, those of one time in the order in which they were asked for, so
that a run depends on nothing but what it was given. Each callback belongs to the process in whose context it was made:
a killed process's are never run (no `except` and no `finally` sees a kill -9), a frozen one's wait until it is thawed.
"""

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import Context, ContextVar, copy_context
from itertools import count
from typing import Any

RUNNING, FROZEN, DEAD = "running", "frozen", "dead"


class Killed(BaseException):
    """Ends what a killed process was about to do without an await; nothing of it is seen by anybody."""


class Process:
    """Something that can be killed or frozen as a whole."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.state = RUNNING
        self._parked: list[Handle] = []

    def kill(self) -> None:
        self.state = DEAD
        self._parked.clear()

    def freeze(self) -> None:
        self.state = FROZEN

    def park(self, handle: "Handle") -> None:
        self._parked.append(handle)

    def thaw(self, loop: "SimulatedLoop") -> None:
        """Goes on where it was; a dead one stays dead."""
        if self.state == FROZEN:
            self.state = RUNNING
            loop.ready.extend(self._parked)
            self._parked.clear()


CURRENT: ContextVar[Process | None] = ContextVar("simulated process", default=None)


class Handle:
    """A callback that waits for its turn."""

    __slots__ = ("arguments", "callback", "context", "is_cancelled", "when")

    def __init__(self, callback: Callable[..., Any], arguments: Any, context: Context | None, when: float) -> None:
        self.callback, self.arguments, self.when = callback, arguments, when
        self.context = copy_context() if context is None else context
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True

    def cancelled(self) -> bool:
        return self.is_cancelled


class SimulatedLoop(asyncio.AbstractEventLoop):
    """As much of an event loop as tasks, futures, timeouts and asyncio.to_thread need."""

    def __init__(self) -> None:
        self.ready: deque[Handle] = deque()
        self.failure: BaseException | None = None
        self.turns = 0
        self._timers: list[tuple[float, int, Handle]] = []
        self._number = count()
        self._now = 0.0
        self._tasks: list[asyncio.Task[Any]] = []  # kept, so that none is collected, and closed, in the middle of a run

    def time(self) -> float:
        return self._now

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_soon(  # type: ignore[override]
        self, callback: Any, *args: Any, context: Context | None = None
    ) -> Any:
        handle = Handle(callback, args, context, self._now)
        self.ready.append(handle)
        return handle

    call_soon_threadsafe = call_soon  # type: ignore[assignment]

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Any, *args: Any, context: Context | None = None
    ) -> Any:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Any, *args: Any, context: Context | None = None
    ) -> Any:
        handle = Handle(callback, args, context, when)
        heapq.heappush(self._timers, (when, next(self._number), handle))
        return handle

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, *, name: str | None = None, context: Context | None = None) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self, name=name, context=context)
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        self._tasks.append(task)
        return task

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:  # type: ignore[override]
        """A thread, as far as its caller can tell: done a little later, in one go."""
        done = self.create_future()

        def call() -> None:
            try:
                answer = func(*args)
            except Exception as error:
                if not done.done():
                    done.set_exception(error)
            else:
                if not done.done():
                    done.set_result(answer)

        self.call_later(0.001, call)
        return done

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Nothing: who starts a task looks at how it ends, and what a dead one raised is seen by nobody."""

    def start(self, work: Coroutine[Any, Any, Any], process: Process | None) -> asyncio.Task[Any]:
        """A task of this process; None for servers, which neither are killed nor freeze."""
        context = copy_context()
        context.run(CURRENT.set, process)
        return context.run(self.create_task, work)

    def fail(self, error: BaseException) -> None:
        """Ends the run; the first failure counts."""
        self.failure = self.failure or error

    def run(self, until: Callable[[], bool], turns_max: int) -> None:
        """Runs until `until` says so. Raises what `fail` was told, or RuntimeError when nothing more can happen."""
        asyncio._set_running_loop(self)
        try:
            while not until():
                self._turn()
                if self.failure is not None:
                    raise self.failure
                if self.turns > turns_max:
                    raise RuntimeError(f"no end after {turns_max} turns, at {self._now:.1f} s")
        finally:
            asyncio._set_running_loop(None)

    def _turn(self) -> None:
        """One callback, or as many as are dropped before one is due."""
        self.turns += 1
        if self.ready:
            handle = self.ready.popleft()
        elif self._timers:
            when, _, handle = heapq.heappop(self._timers)
            self._now = max(self._now, when)
        else:
            raise RuntimeError(f"nothing more can happen at {self._now:.1f} s")
        if handle.is_cancelled:
            return
        process = handle.context.get(CURRENT)
        if process is None or process.state == RUNNING:
            handle.context.run(handle.callback, *handle.arguments)
        elif process.state == FROZEN:
            process.park(handle)

    def end(self) -> None:
        """Closes what was under way, in the order in which it began; the collector would do so in the midst of others.

        What their `finally` blocks ask for is not done any more.
        """
        for task in self._tasks:
            if not task.done():
                with suppress(Exception, Killed):
                    coroutine: Any = task.get_coro()
                    coroutine.close()
            elif not task.cancelled():
                task.exception()
        self.ready.clear()
        self._timers.clear()
        self._tasks.clear()
