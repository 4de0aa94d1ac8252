"""A live worker of the counters with a way to hang planted in it, and with protections taken out of it.

    python -m tests.runtime.hanging HANG FLAG [PROTECTION ...]

HANG happens once, in the process that finds the file FLAG, which it removes at that moment; a process started after it
works. It may be `none`. Without protections named, the worker is the one that is shipped.
"""

import asyncio
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mode
from aiokafka import AIOKafkaConsumer
from aiokafka.consumer.group_coordinator import GroupCoordinator

from projectors.counters.fold import PROJECTION
from projectors.runtime import live, live_transport, watchdog
from projectors.runtime.settings import worker_settings
from projectors.runtime.stores import postgres
from projectors.runtime.worker import Worker
from shared.environment import environment

EVER_SECONDS = 3600.0
POLL_INTERVAL_SECONDS = 5.0  # where Faust's own limit is put back
FAREWELL_SECONDS = 3.0  # of a broker that is slow to answer
LOOK_SECONDS = 0.01
SLOW_SECONDS = 9.0  # beyond that limit, and beyond the request timeout of whoever wants to show its hang


def main() -> None:
    hang, flag, *protections = sys.argv[1:]
    HANGS[hang](Path(flag))
    for protection in protections:
        WITHOUT[protection]()
    live.run(PROJECTION, environment(), worker_settings(os.environ))


def _before(owner: Any, name: str, flag: Path, happens: Callable[[], Any]) -> None:
    """`happens` is awaited before the next call of a method, once."""
    method = getattr(owner, name)

    async def interrupted(*arguments: Any, **options: Any) -> Any:
        if _taken(flag):
            await happens()
        return await method(*arguments, **options)

    setattr(owner, name, interrupted)


def _taken(flag: Path) -> bool:
    there = flag.exists()
    flag.unlink(missing_ok=True)
    return there


async def _blocks() -> None:
    time.sleep(EVER_SECONDS)  # noqa: ASYNC251 (to block the event loop is the point)


async def _never_ends() -> None:
    await asyncio.sleep(EVER_SECONDS)


async def _takes_long() -> None:
    await asyncio.sleep(SLOW_SECONDS)


async def _fails() -> None:
    raise RuntimeError("planted")


def _fetch_fails(flag: Path) -> None:
    """The whole tree of services crashes; the consumer's thread ends first, and answers no call any more while it takes
    leave of the broker, which takes its time."""
    _before(live_transport.ConsumerThread, "_fetch_records", flag, _fails)
    stop, on_stop = AIOKafkaConsumer.stop, live_transport.Consumer.on_stop

    async def slow(self: Any) -> None:
        await asyncio.sleep(FAREWELL_SECONDS)
        await stop(self)

    async def behind_the_thread(self: Any) -> None:
        while not self._thread.method_queue.should_stop:  # noqa: ASYNC110 (a flag of another thread's)
            await asyncio.sleep(LOOK_SECONDS)
        await on_stop(self)

    AIOKafkaConsumer.stop = slow
    live_transport.Consumer.on_stop = behind_the_thread


HANGS: dict[str, Callable[[Path], None]] = {
    "none": lambda flag: None,
    "loop-blocked": lambda flag: _before(Worker, "take", flag, _blocks),
    "batch-stuck": lambda flag: _before(Worker, "take", flag, _never_ends),
    "batch-slow": lambda flag: _before(Worker, "take", flag, _takes_long),
    "batch-fails": lambda flag: _before(Worker, "take", flag, _fails),
    "fence-stuck": lambda flag: _before(postgres.PostgresStore, "fence", flag, _never_ends),
    "fence-slow": lambda flag: _before(postgres.PostgresStore, "fence", flag, _takes_long),
    "fetch-fails": _fetch_fails,
    "coordination-fails": lambda flag: _before(GroupCoordinator, "ensure_coordinator_known", flag, _fails),
}


def _without_watchdog() -> None:
    watchdog.Watchdog.start = lambda self: None  # type: ignore[method-assign]


def _with_setting(name: str, value: Any) -> None:
    make_app = live.make_app

    def changed(*arguments: Any) -> Any:
        app = make_app(*arguments)
        setattr(app.conf, name, value)
        return app

    live.make_app = changed  # type: ignore[assignment]


def _without_deadline() -> None:
    live_transport.Consumer.perform_seek = live_transport.Consumer._fence  # type: ignore[method-assign]


def _without_crashing() -> None:
    mode.CrashingSupervisor = mode.OneForOneSupervisor


def _without_commit_timeout() -> None:
    live_transport.COMMIT_TIMEOUT_SECONDS = EVER_SECONDS


WITHOUT: dict[str, Callable[[], None]] = {
    "watchdog": _without_watchdog,
    "long-interval": lambda: _with_setting("broker_max_poll_interval", POLL_INTERVAL_SECONDS),
    "no-reset": lambda: _with_setting("consumer_auto_offset_reset", "earliest"),
    "web-off": lambda: _with_setting("web_enabled", True),
    "fence-deadline": _without_deadline,
    "crashing": _without_crashing,
    "commit-timeout": _without_commit_timeout,
}

if __name__ == "__main__":
    main()
