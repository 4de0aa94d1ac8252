"""Applies a projection's events as they come, each exactly once in effect; any number of workers share the partitions.

    python -m projectors.runtime.live NAME

Faust carries the records (live_transport.py); the store's compare-and-set makes it correct; the watchdog keeps it
alive; whoever started the process starts it again when it ends. Any error that is not transient ends it: better loud
than wrong.
"""

import asyncio
import faulthandler
import os
import socket
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import faust
import mode
import structlog

from projectors.runtime import logs
from projectors.runtime.erasure import Sweeper
from projectors.runtime.last_records import LastRecords, event_of
from projectors.runtime.live_transport import Consumer, Fetched, PositionError, Transport
from projectors.runtime.log_ends import LogEnds
from projectors.runtime.projection import PostgresProjection, Projection
from projectors.runtime.projector import Projector, open_projector
from projectors.runtime.settings import WorkerSettings, worker_settings
from projectors.runtime.sibling_sweeps import SiblingSweeper
from projectors.runtime.stores.port import Advance, Outcome, Partition
from projectors.runtime.watchdog import Watchdog
from shared.environment import Environment, environment

REPORT_SECONDS = 10.0
log = structlog.get_logger()


def group_of(projection: Projection, environment: Environment) -> str:
    """The consumer group whose members share the projection's partitions."""
    return environment.topic(projection.name)


def make_app(projection: Projection, environment: Environment, settings: WorkerSettings) -> faust.App:
    """A Faust app of which only the consumer is used: no tables, no leader topic, no web server."""
    group = group_of(projection, environment)
    datadir = environment.var / "faust"  # Faust insists on one; nothing of ours is kept there
    datadir.mkdir(parents=True, exist_ok=True)
    return faust.App(
        group,
        broker=";".join(f"kafka://{address}" for address in environment.kafka_bootstrap_servers.split(",")),
        store="memory://",
        datadir=str(datadir),
        topic_disable_leader=True,
        topic_allow_declare=False,
        table_standby_replicas=0,  # with standbys Faust's own assignor would be chosen, made for tables
        web_enabled=False,
        worker_redirect_stdouts=False,
        consumer_auto_offset_reset="none",  # a position outside the log must stop the worker, not move it
        stream_wait_empty=False,  # a revocation need not wait for batches: the epoch decides
        stream_buffer_maxsize=int(settings.buffer_batches_max),
        broker_max_poll_records=int(settings.batch_records_max),
        broker_max_poll_interval=1e6,  # thrown out, it would never rejoin; the watchdog ends it instead
        broker_session_timeout=settings.session_seconds,
        broker_heartbeat_interval=settings.heartbeat_seconds,
        broker_rebalance_timeout=settings.rebalance_seconds,
        broker_request_timeout=settings.request_seconds,
        broker_commit_interval=settings.commit_seconds,
    )


class LiveWorker:
    """One process's share of a projection."""

    def __init__(
        self, projector: Projector, environment: Environment, settings: WorkerSettings, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._projector = projector
        self._settings = settings
        self._loop = loop
        self._ends = LogEnds(environment)
        self._applied_records = 0
        self.app = make_app(projector.projection, environment, settings)
        transport = Transport(self.app.conf.broker_consumer, self.app)
        transport.store, transport.settings = projector.store, settings
        transport.topic_prefix, transport.last_records = environment.topic_prefix, LastRecords(environment)
        self.app.transport = transport
        names = [environment.topic(topic) for topic in projector.projection.topics]
        # Without acks: Faust would keep an interval tree of every gap, and nothing reads it.
        topic = self.app.topic(*names, key_serializer="raw", value_serializer="raw", acks=False)
        # Faust's own supervisor would restart the agent behind the batch that failed.
        self.app.agent(topic, name="projector", supervisor_strategy=mode.CrashingSupervisor)(self.consume)
        self.app.task(self.check_positions)
        self.app.task(self.report)
        if isinstance(projector.projection, PostgresProjection):
            self.app.task(Sweeper(projector.projection, environment, self._ends).run)
            self.app.task(SiblingSweeper(projector.projection, environment).run)

    @property
    def consumer(self) -> Consumer:
        consumer: Consumer = self.app.consumer
        return consumer

    async def consume(self, stream: Any) -> None:
        """Folds a batch while the one before is being applied; they are applied one after the other."""
        applying: asyncio.Task[None] | None = None
        async for fetched in stream:
            if not self._holds(fetched):
                continue
            changes = await self._projector.changes_of([record.value for record in fetched.records])
            if applying is not None:
                await applying
            applying = asyncio.create_task(self.apply(fetched, changes))
            applying.add_done_callback(self._crash_on_error)
            await asyncio.sleep(0)  # sends the statement before the next fold begins

    async def apply(self, fetched: Fetched, changes: Any) -> None:
        """Raises PositionError when the store refuses a batch that this worker still believes to own."""
        step = Advance(
            fetched.partition, fetched.previous, fetched.next, fetched.epoch, event_of(fetched.records[-1].key)
        )
        outcome = await self._projector.store.apply(step, changes)
        if outcome is Outcome.REFUSED:
            log.warning("refused", partition=fetched.partition, previous=fetched.previous, epoch=fetched.epoch)
            if self._holds(fetched):
                raise PositionError(f"refused: {fetched.partition} from {fetched.previous} under epoch {fetched.epoch}")
            return
        if outcome is Outcome.ALREADY:
            log.info("already_applied", partition=fetched.partition, next=fetched.next)
        if self._holds(fetched):
            self.consumer.applied[fetched.tp] = fetched.next
        self._applied_records += len(fetched.records)

    def _holds(self, fetched: Fetched) -> bool:
        return self.consumer.epochs.get(fetched.tp) == fetched.epoch

    def _crash_on_error(self, applying: "asyncio.Task[None]") -> None:
        error = None if applying.cancelled() else applying.exception()
        if error is not None:
            log.error("apply_failed", exc_info=error)
            self.app.add_future(self.app.crash(error))

    async def check_positions(self) -> None:
        """Compares the store with memory: an idle partition would otherwise learn of neither a new owner nor a loss."""
        while not self.app.should_stop:
            await asyncio.sleep(self._settings.check_seconds)
            consumer = self.consumer
            held = {tp: (epoch, consumer.applied.get(tp)) for tp, epoch in consumer.epochs.items()}
            if not held:
                continue
            found = await self._projector.positions()
            for tp, (epoch, applied) in held.items():
                if consumer.epochs.get(tp) != epoch or applied is None:
                    continue  # fenced anew since
                stored = found.get(consumer.partition_of(tp))
                if stored is not None and stored.epoch != epoch:
                    # Fencing again here would steal the partition back.
                    raise PositionError(f"{tp} has epoch {stored.epoch} in the store, {epoch} here")
                if stored is None or stored.offset < applied:
                    log.warning("store_went_back", partition=consumer.partition_of(tp), applied=applied, stored=stored)
                    consumer.fence_again()
                    break

    async def report(self) -> None:
        """A line with what was applied, every ten seconds in which something was."""
        reported, at = 0, time.monotonic()
        while not self.app.should_stop:
            await asyncio.sleep(REPORT_SECONDS)
            applied, now = self._applied_records, time.monotonic()
            if applied != reported:
                log.info("applied", records=applied - reported, per_second=round((applied - reported) / (now - at)))
            reported, at = applied, now

    # What the watchdog asks, from its own thread.

    def tick(self, answered: Callable[[], None]) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(answered)

    def rebalancing_since(self) -> float | None:
        consumer = self.app._consumer
        return None if consumer is None else consumer.rebalancing_since

    def ever_assigned(self) -> bool:
        consumer = self.app._consumer
        return consumer is not None and consumer.ever_assigned

    def stopping(self) -> bool:
        return bool(self.app._crashed.is_set() or self.app._stopped.is_set())

    def applied(self) -> Mapping[Partition, int]:
        consumer = self.app._consumer
        held = {} if consumer is None else dict(consumer.applied)
        return {consumer.partition_of(tp): offset for tp, offset in held.items()}

    def watch(self) -> None:
        Watchdog(self, self._ends, self._settings).start()


def run(projection: Projection, environment: Environment, settings: WorkerSettings) -> None:
    """Works until a signal or an error ends it, then exits the process."""
    owner = f"{socket.gethostname()}:{os.getpid()}"
    logs.configure(projection=projection.name, pid=os.getpid())
    faulthandler.enable()
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    projector = loop.run_until_complete(open_projector(projection, environment, owner))
    worker = LiveWorker(projector, environment, settings, loop)
    worker.watch()
    log.info("starting", group=group_of(projection, environment))
    # daemon: runs until it is stopped; quiet and override_logging: its banner and its log format are not ours.
    faust.Worker(
        worker.app, loop=loop, daemon=True, quiet=True, override_logging=False, redirect_stdouts=False
    ).execute_from_commandline()


def main() -> None:
    from projectors.catalogue import projection_named

    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        projection = projection_named(sys.argv[1])
    except LookupError as error:
        sys.exit(str(error))
    run(projection, environment(), worker_settings(os.environ))


if __name__ == "__main__":
    main()
