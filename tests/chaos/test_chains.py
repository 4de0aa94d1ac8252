"""Claim: the chaos run's account of applied records sees a record that no batch held, and one that two held.

Oracle: chains written down here, with the plants of a projector that saves its position apart from its data. Cannot
catch: a batch that did not hold what its step says; the rows are compared for that.
"""

from projectors.runtime.stores.port import Partition
from tests.chaos.chains import Chains, Move, follow

HERE = Partition("posts", 0)


def followed(moves: list[Move], steps: list[tuple[int, int, int]], end: int) -> Chains:
    """`steps` are (from, to, epoch) as workers asked for them."""
    chains = Chains()
    asked = {(HERE, epoch, following): previous for previous, following, epoch in steps}
    follow(chains, HERE, moves, asked, end)
    return chains


def test_a_chain_without_a_hole() -> None:
    moves: list[Move] = [(None, 0, 1), (0, 5, 1), (5, 9, 2)]
    # Asked for twice, under the epoch that was refused and under the one that was not.
    assert followed(moves, [(0, 5, 1), (5, 8, 1), (5, 9, 2)], 9) == Chains(steps=2)


def test_a_batch_that_was_skipped() -> None:
    assert followed([(None, 0, 1), (0, 9, 1)], [(5, 9, 1)], 9).lost == 5


def test_records_that_were_never_reached() -> None:
    assert followed([(None, 0, 1), (0, 5, 1)], [(0, 5, 1)], 9).lost == 4


def test_a_batch_that_was_applied_twice() -> None:
    """The position moved from 5 to 9, and the batch had begun at 3."""
    assert followed([(None, 0, 1), (0, 5, 1), (5, 9, 2)], [(0, 5, 1), (3, 9, 2)], 9).duplicated == 2


def test_a_commit_that_nobody_asked_for() -> None:
    assert followed([(None, 0, 1), (0, 5, 1)], [], 5).lost == 5


def test_what_is_set_back_by_hand_is_no_doubling() -> None:
    found = followed([(None, 0, 1), (0, 9, 1), (9, 2, 1), (2, 9, 2)], [(0, 9, 1), (2, 9, 2)], 9)
    assert found == Chains(steps=2, set_back=7)
