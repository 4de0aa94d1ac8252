"""Runs of many seeds: what failed, how it is replayed, and what was really injected."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.simulation.chance import EVENTS, RATES
from tests.simulation.commands import CommandsRun
from tests.simulation.swap import SwapRun
from tests.simulation.world import World

STEPS = ("fetch", "load", "fold", "apply", "applied", "fence", "fenced", "check", "sweep")
# What a thousand seeds have each at least once; a simulation in which nothing happens would find nothing.
INJECTED = (
    *RATES, *EVENTS,
    *(f"crash at {step}" for step in STEPS), *(f"freeze at {step}" for step in STEPS if step != "fold"),
    "lost commits", "step already", "step refused", "waited for a row", "swept", "sweep broken off",
    "ended by PositionError", "ended by OffsetOutOfRangeError",
)  # fmt: skip


@dataclass
class Tally:
    """What came of the seeds so far."""

    seeds: int = 0
    steps: int = 0
    injected: Counter[str] = field(default_factory=Counter)
    failures: dict[int, str] = field(default_factory=dict)

    def missing(self) -> list[str]:
        """What was never injected."""
        return [name for name in INJECTED if not self.injected[name]]


def one(seed: int, tell: Callable[[str], None] | None = None) -> World:
    """Everything that one seed has: the workers' run, the command side's and the swap's. Raises what went wrong."""
    world = World(seed, tell=tell)
    world.run()
    if seed % 4 == 0:
        CommandsRun(seed).run()
        SwapRun(seed).run()
    return world


def many(seeds: Iterable[int]) -> Iterator[Tally]:
    """Runs the seeds one after the other; after each, the tally so far."""
    tally = Tally()
    for seed in seeds:
        try:
            world = one(seed)
        except Exception as error:  # whatever it is, it is what the simulation is for
            tally.failures[seed] = f"{type(error).__name__}: {error}"
        else:
            tally.injected.update(world.chance.counts)
            tally.steps += world.oracle.steps
        tally.seeds += 1
        yield tally


def replay(seed: int) -> str:
    """The command that shows a seed's run line by line."""
    return f"python -m tests.simulation --seed {seed} --trace"


def first_caught(run: Callable[[int], Any], seeds: Iterable[int]) -> int | None:
    """The first seed in which a planted bug is noticed."""
    for seed in seeds:
        try:
            run(seed).run()
        except (AssertionError, RuntimeError):
            return seed
    return None
