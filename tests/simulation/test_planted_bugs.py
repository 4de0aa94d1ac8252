"""The simulation can fail: each bug that the design rules out is noticed in some seed, and those seeds hold without it.

Claim: incrementing folds, positions saved after the commit, unchecked epochs, old values of a snapshot, whole-row
newest-wins, two fences at the same time, batches handed out before their fence is known, ids minted before the lock (or
by each server's own clock), the swap without its locks (or without the live epochs) and an erasure without its second
sweep are each told from the product by the oracle of test_simulation.py.
Oracle: the same seeds without the bug, which hold. Bugs of folds against histories without any faults are planted in
tests/properties/test_planted_bugs.py, in SQL in tests/properties/test_apply.py.
Cannot catch: bugs of a kind that nobody thought of planting.
"""

import pytest

from tests.simulation.planted import PLANTED
from tests.simulation.runs import first_caught, one
from tests.simulation.world import World

SEEDS_MAX = 2_000


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_bug_is_caught(name: str) -> None:
    caught = first_caught(PLANTED[name], range(SEEDS_MAX))
    assert caught is not None, f"{SEEDS_MAX} seeds hold in spite of {name}"
    one(caught)
    for projection in ("counters", "graph"):
        World(caught, only=projection).run()
