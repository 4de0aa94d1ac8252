"""Whatever strikes whichever step, each event is in effect exactly once: thousands of seeds of a simulated system.

Claim: with several workers, a log, a database and their clocks simulated, and crashes, freezes, delays, lost answers,
rebalances, duplicates, lost commits, lost log tails and positions set back at any step, every step is applied once, in
order and under the newest epoch; rows, counts and position agree at every commit; and in the end the database holds
what the reference model says of the whole log, and nothing of erased people. Real are the worker, its chain, the
transport's fences, folds, codec, retries, the sweeper's order and the ids; each module's first lines say what is not.
Oracle: tests/model/reference.py at the end, tests/properties/interpretation.py at every commit.
Cannot catch: what SQL, Redis, Faust and Kafka really do (tests/properties/test_apply.py, tests/integration and
tests/chaos do), and faults that nobody thought of injecting.
"""

import os
import subprocess
import sys

import pytest

from shared.environment import REPOSITORY
from tests.simulation.runs import INJECTED, Tally, many, replay
from tests.simulation.world import World

# Fewer where HYPOTHESIS_PROFILE asks for few examples: the other Python has nothing more to find here.
SEEDS = 250 if os.environ.get("HYPOTHESIS_PROFILE") == "few" else 3_000


@pytest.fixture(scope="module")
def tally() -> Tally:
    *_, last = many(range(SEEDS))
    return last


def test_every_seed_holds(tally: Tally) -> None:
    shown = [f"{why}\n  {replay(seed)}" for seed, why in list(tally.failures.items())[:5]]
    assert not tally.failures, f"{len(tally.failures)} of {tally.seeds} seeds fail:\n" + "\n".join(shown)


def test_every_fault_is_injected(tally: Tally) -> None:
    if tally.seeds < 1_000:
        pytest.skip("too few seeds to have them all")
    assert tally.missing() == [], f"of {len(INJECTED)} kinds of faults these never happened in {tally.seeds} seeds"
    assert tally.steps > 2 * tally.seeds


def test_a_seed_is_always_the_same_run() -> None:
    """In another process, whose strings hash otherwise, and in this one, line by line."""
    script = "from tests.simulation.runs import one; one(7, tell=print)"
    runs = [
        subprocess.run(
            [sys.executable, "-c", script], cwd=REPOSITORY, env={**os.environ, "PYTHONHASHSEED": hashes},
            check=True, capture_output=True, text=True,
        ).stdout
        for hashes in ("1", "2")
    ]  # fmt: skip
    lines: list[str] = []
    World(7, tell=lines.append).run()
    assert runs[0] == runs[1] == "\n".join(lines) + "\n"
    assert len(lines) > 5
