"""Each fault there is, done to the chaos run's own workers and servers; each returns when it was felt no more."""

import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable

import psycopg

from projectors.catalogue import PROJECTIONS
from projectors.runtime.projection import PostgresProjection
from tests.chaos.appender import Appender
from tests.chaos.crew import Crew, Slot
from tests.chaos.recovery import Felt, Recovery
from tests.chaos.system import System
from tests.runtime.workers import wait_until

RECOVERED_SECONDS_MAX = 300.0
POINT_SECONDS_MAX = 60.0
GROWN_RECORDS, GROWN_SECONDS_MAX = 100, 120.0
NAMES = tuple(projection.name for projection in PROJECTIONS)
IN_POSTGRES = tuple(each.name for each in PROJECTIONS if isinstance(each, PostgresProjection))
SHARED = "counters"  # the projection whose partitions several workers share
SET_BACK_RECORDS_MAX = 400
# A rebalance is passed by a worker whose partitions go to another one.
POINTS_OF = {
    SHARED: ("fold", "apply", "answer", "fence", "seek", "rebalance", "commit"),
    "feed": ("shard", "apply", "answer", "shard", "fence", "seek"),
    "trends": ("apply", "answer", "fence", "seek", "commit"),
    **dict.fromkeys(("graph", "notifications", "posts", "profiles"), ("fold", "apply", "answer", "seek", "commit")),
}
PROVOKED = ("fence", "seek", "rebalance")
Say = Callable[[str], None]


class Faults:
    """Everything that can be done to them; safe to use from several threads on different projections."""

    def __init__(
        self, system: System, crew: Crew, appender: Appender, recovery: Recovery, dice: random.Random, say: Say
    ) -> None:
        self._system, self._crew, self._appender = system, crew, appender
        self._recovery, self._dice, self._say = recovery, dice, say
        self._counting = threading.Lock()
        self.done: Counter[str] = Counter()
        self.zombies_refused = 0

    # Workers

    def kill(self, projection: str) -> None:
        """Wherever it is."""
        slot = self._dice.choice(self._crew.of(projection))
        time.sleep(self._dice.random())
        self._felt("kill", [projection], lambda: self._crew.kill(slot))

    def kill_at(self, projection: str, point: str) -> None:
        """At a named point; a point that is not passed in time is left, and the worker killed where it is."""
        slot = self._dice.choice(self._crew.of(projection))
        killed = slot.ends[-signal.SIGKILL]
        slot.order("die", point)
        if point in PROVOKED:
            self._provoke(slot)
        deadline = time.monotonic() + POINT_SECONDS_MAX
        while slot.ends[-signal.SIGKILL] == killed:
            if time.monotonic() > deadline:
                if slot.withdraw():
                    self._say(f"{slot.name} did not pass {point}")
                    self._felt("kill", [projection], lambda: self._crew.kill(slot))
                return
            time.sleep(0.02)
        self._felt(f"kill at {point}", [projection], lambda: None)

    def zombie(self) -> None:
        """Frozen with a batch at hand until others have its partitions, then thawed: the store must refuse it."""
        slot = self._dice.choice(self._crew.of(SHARED))
        before = slot.log_size()
        slot.order("freeze", "apply")
        try:
            wait_until(POINT_SECONDS_MAX, slot.is_frozen)
        except AssertionError:
            slot.withdraw()
            self._say(f"{slot.name} had nothing to apply")
            return
        self._felt("zombie", [SHARED], lambda: None)
        slot.signal(signal.SIGCONT)
        try:
            wait_until(15, lambda: slot.logged("refused", before))
        except AssertionError:
            self._say(f"a thawed worker was not refused: {slot.tail()}")
        else:
            with self._counting:
                self.zombies_refused += 1

    def join_and_leave(self) -> None:
        """One worker more, then one less, then another in its place."""
        old = self._dice.choice(self._crew.of(SHARED))
        joined: list[Slot] = []

        def join() -> None:
            joined.append(self._crew.join(SHARED))
            wait_until(60, lambda: joined[-1].log_size() and joined[-1].logged("fenced"))

        self._felt("rebalance: one joins", [SHARED], join)
        self._felt("rebalance: one leaves", [SHARED], lambda: self._crew.leave(old))
        self._felt("rebalance: one joins", [SHARED], join)
        self._felt("rebalance: one leaves", [SHARED], lambda: self._crew.leave(joined[0]))

    # Servers

    def broker_restarted(self) -> None:
        self._felt("broker restarted", NAMES, lambda: self._system.restart("kafka"))

    def broker_killed(self) -> None:
        self._felt("broker killed", NAMES, lambda: self._system.kill("kafka"))

    def postgres_stopped(self) -> None:
        self._felt("postgres -m immediate", NAMES, self._system.stop_postgres_immediately)

    def redis_flushed(self) -> None:
        self._felt("redis flushed", ["feed", "trends"], self._system.flush_redis)

    def positions_set_back(self) -> None:
        """By hand, under the workers' feet, as docs/operations.md says."""
        projection, by = self._dice.choice(IN_POSTGRES), self._dice.randrange(1, SET_BACK_RECORDS_MAX)

        def set_back() -> int:
            with psycopg.connect(self._system.environment.read_database_url) as connection:
                return connection.execute(
                    f"update {projection}.position set next_offset = greatest(0, next_offset - %s), last_event = null"
                    " where partition %% 2 = 0 and next_offset > 0".encode(),
                    (by,),
                ).rowcount

        # At a run's beginning nothing may have been applied yet, and so there is nothing to set back.
        self._felt("positions set back", [projection], lambda: wait_until(GROWN_SECONDS_MAX, set_back))

    def _provoke(self, slot: Slot) -> None:
        """A rebalance that this worker is part of; where it is alone, its own end in order and beginning."""
        others = [each for each in self._crew.of(slot.projection) if each is not slot]
        (self._dice.choice(others) if others else slot).signal(signal.SIGTERM)

    def _felt(self, fault: str, projections: "list[str] | tuple[str, ...]", do: Callable[[], None]) -> None:
        with self._counting:
            self.done[fault] += 1
        began, before = time.monotonic(), sum(self._appender.ends().values())
        do()
        # Of what was appended before it, nothing may have been left to be applied.
        wait_until(GROWN_SECONDS_MAX, lambda: sum(self._appender.ends().values()) >= before + GROWN_RECORDS)
        felt = self._recovery.expect(fault, projections, self._appender.ends(), began)
        self._await(felt)

    def _await(self, felt: Felt) -> None:
        if felt.over.wait(RECOVERED_SECONDS_MAX):
            self._say(f"{felt.fault} ({', '.join(felt.projections)}): {felt.seconds:.1f} s")
        else:
            self._say(f"{felt.fault} ({', '.join(felt.projections)}): not over after {RECOVERED_SECONDS_MAX:.0f} s")
