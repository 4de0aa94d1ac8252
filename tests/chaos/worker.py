"""A live worker that dies or freezes at a named point, and writes down every step before it takes it.

    python -m tests.chaos.worker PROJECTION --orders FILE --steps FILE

The product's code knows nothing of this: its store, its projector and its consumer are wrapped here. An order is one
line, "die POINT" or "freeze POINT"; the worker takes the file away when it gets to the point, and sends itself SIGKILL
or SIGSTOP there. POINTS says what the points are. A step is a line of JSON, written before the store is asked, so that
what was asked is known whatever becomes of the worker.
"""

import argparse
import asyncio
import json
import os
import signal
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from projectors.catalogue import projection_named
from projectors.runtime import live, live_transport
from projectors.runtime.projection import Projection
from projectors.runtime.projector import Projector, open_projector
from projectors.runtime.settings import worker_settings
from projectors.runtime.stores.port import Advance, Outcome, Partition
from shared.environment import Environment, environment

POINTS = {
    "fold": "a batch is at hand, its fold has not begun",
    "apply": "folded, about to be sent to the store",
    "answer": "committed by the store, its answer not used yet",
    "shard": "some shards of Redis have applied the batch, others have not",
    "fence": "partitions are assigned, the epoch is not raised yet",
    "seek": "the epoch is raised, the consumer is not at the position yet",
    "rebalance": "partitions are being taken away",
    "commit": "positions are on their way to Kafka's group",
}


class Orders:
    """Obeys the order in a file, once, when its point is passed."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def passing(self, point: str) -> None:
        if self.wanted(point):
            self.obey()

    def wanted(self, point: str) -> bool:
        try:
            return self._path.read_text().split()[1:] == [point]
        except FileNotFoundError:
            return False

    def obey(self) -> None:
        verb = self._path.read_text().split()[0]
        self._path.unlink()
        os.kill(os.getpid(), signal.SIGSTOP if verb == "freeze" else signal.SIGKILL)


def wrap_projector(projector: Projector, orders: Orders, steps: int) -> Projector:
    """The projector, with its points watched and its steps written to the file descriptor `steps`."""
    fold, apply, fence = projector.changes_of, projector.store.apply, projector.store.fence

    async def changes_of(*arguments: Any) -> Any:
        orders.passing("fold")
        return await fold(*arguments)

    async def applied(advance: Advance, changes: Any) -> Outcome:
        partition = advance.partition
        # One write of a short line: a kill leaves all of it or nothing.
        step = [partition.topic, partition.number, advance.previous, advance.next, advance.epoch]
        os.write(steps, (json.dumps(step) + "\n").encode())
        orders.passing("apply")
        outcome = await apply(advance, changes)
        orders.passing("answer")
        return outcome

    async def fenced(*arguments: Any) -> Any:
        orders.passing("fence")
        answer = await fence(*arguments)
        orders.passing("seek")
        return answer

    _replace(projector, changes_of=changes_of)
    _replace(projector.store, apply=applied, fence=fenced)
    client = getattr(projector.store, "_client", None)
    if client is not None:
        _replace(client, pipeline=_halving(client.pipeline, orders))
    return projector


def _halving(pipeline: Callable[..., Any], orders: Orders) -> Callable[..., Any]:
    """Pipelines of which, at the point "shard", only the first half of the calls is sent."""

    def make(*arguments: Any, **options: Any) -> Any:
        made = pipeline(*arguments, **options)
        execute = made.execute

        async def execute_half(*given: Any, **more: Any) -> Any:
            calls = made.command_stack
            if calls and "feed_apply" in str(calls[0]) and orders.wanted("shard"):
                del calls[len(calls) // 2 :]
                await execute(*given, **more)
                orders.obey()
            return await execute(*given, **more)

        made.execute = execute_half
        return made

    return make


def wrap_transport(orders: Orders) -> None:
    """Watches the points of the consumer."""
    revoked = live_transport.Consumer.on_partitions_revoked
    commit = live_transport.ConsumerThread.advisory_commit

    async def on_partitions_revoked(self: Any, partitions: Any) -> None:
        orders.passing("rebalance")
        await revoked(self, partitions)

    async def advisory_commit(self: Any, offsets: Mapping[Partition, int]) -> bool:
        committing = asyncio.ensure_future(commit(self, offsets))
        await asyncio.sleep(0)  # sends it
        orders.passing("commit")
        return await committing

    _replace(live_transport.Consumer, on_partitions_revoked=on_partitions_revoked)
    _replace(live_transport.ConsumerThread, advisory_commit=advisory_commit)


def _replace(owner: Any, **wrapped: Callable[..., Any]) -> None:
    for name, function in wrapped.items():
        assert hasattr(owner, name), f"{owner} has no {name} any more: this point is never passed"
        setattr(owner, name, function)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("projection")
    parser.add_argument("--orders", type=Path, required=True)
    parser.add_argument("--steps", type=Path, required=True)
    arguments = parser.parse_args()
    orders = Orders(arguments.orders)
    steps = os.open(arguments.steps, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    opened: Callable[..., Awaitable[Projector]] = open_projector

    async def open_wrapped(projection: Projection, environment: Environment, owner: str) -> Projector:
        return wrap_projector(await opened(projection, environment, owner), orders, steps)

    _replace(live, open_projector=open_wrapped)
    wrap_transport(orders)
    live.run(projection_named(arguments.projection), environment(), worker_settings(os.environ))


if __name__ == "__main__":
    main()
