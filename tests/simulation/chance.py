"""All that is left to chance in a run, drawn from its seed alone, and a count of what really happened.

Each seed draws how likely each fault is, most of them not at all: a run in which everything fails at once finds less
than many in which a few things do.
"""

import asyncio
from collections import Counter
from random import Random

# How often each is tried for at most, where the seed has it at all: per step, per statement, per second of the run.
RATES = {
    "crash at a step": 0.03,
    "freeze at a step": 0.02,
    "slow step": 0.1,
    "connection lost": 0.06,
    "broker error": 0.04,
    "batch abandoned": 0.05,
}
# What operators and the world do, at most so many times in a run.
EVENTS = {
    "database crash": 2,
    "rebalance": 3,
    "position set back": 2,
    "log lost its tail": 1,
    "producer repeats": 4,
    "key deleted": 3,
}
FAULTY = 0.4  # how likely it is that a seed has a given fault
LONG_IN_STORM = 0.4


class Chance:
    """One seed's draws."""

    def __init__(self, seed: int, faults: bool = True) -> None:
        self.random = Random(seed)
        self.counts: Counter[str] = Counter()
        on = [faults and self.random.random() < FAULTY for _ in (*RATES, *EVENTS)]
        self.rates = {
            name: rate * self.random.random() if yes else 0.0
            for (name, rate), yes in zip(RATES.items(), on, strict=False)
        }
        self.events = {
            name: self.random.randint(1, most) if yes else 0
            for (name, most), yes in zip(EVENTS.items(), on[len(RATES) :], strict=True)
        }
        # In a storm few people do everything at once, and statements lie across each other. In some nobody is erased,
        # so that the same rows are reached again and again; in others it ends with erasures.
        self.storm = self.random.random() < 0.6
        self.farewell = self.storm and self.random.random() < 0.5
        if self.storm:
            self.rates["slow step"] = 0.2
        self.pace = self.random.choice([0.0005, 0.005, 0.05])  # seconds that a step takes on the average
        self.idle = self.random.choice([0.2, 0.5, 0.8])  # how many steps take no time at all

    def happens(self, fault: str) -> bool:
        """Whether this fault strikes here, and then it is counted."""
        rate = self.rates[fault]
        if rate and self.random.random() < rate:
            self.counts[fault] += 1
            return True
        return False

    def note(self, what: str) -> None:
        self.counts[what] += 1

    def number(self, least: int, most: int) -> int:
        return self.random.randint(least, most)

    def seconds(self, least: float, most: float) -> float:
        return self.random.uniform(least, most)

    async def pause_in_statement(self) -> None:
        """The time between two rows of a statement, which in a storm is often long."""
        if self.storm and self.random.random() < LONG_IN_STORM:
            await asyncio.sleep(self.random.uniform(0.05, 0.6))
        else:
            await self.pause()

    async def pause(self) -> None:
        """The time that something takes: mostly none or little, now and then long enough for all others to go on."""
        if self.random.random() < self.idle:
            return
        if self.happens("slow step"):
            await asyncio.sleep(self.random.uniform(0.1, 2.0))
        else:
            await asyncio.sleep(self.random.expovariate(1 / self.pace))
