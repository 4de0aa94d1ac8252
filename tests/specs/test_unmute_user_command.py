"""UnmuteUser: lifts one's own mute, whatever else stands between the two."""

import pytest

from command_api.relationships.commands.unmute_user import UnmuteUser
from shared.errors import Conflict, NotFound, Unauthenticated
from tests.specs.command_cases import (
    ANA,
    BEN,
    EVERYBODY,
    NOBODY,
    blocked,
    erased,
    muted,
    refused,
    then,
    unchanged,
    unmuted,
)


def test_a_mute_is_lifted() -> None:
    then([muted(ANA, BEN)], UnmuteUser(ANA, BEN), subject_id=ANA, muted_id=BEN)


@pytest.mark.parametrize("block", [blocked(ANA, BEN), blocked(BEN, ANA)], ids=["blocking", "blocked"])
def test_a_block_does_not_hold_it(block: object) -> None:
    then([muted(ANA, BEN), block], UnmuteUser(ANA, BEN), muted_id=BEN)  # type: ignore[list-item]


def test_without_one_nothing_changes() -> None:
    unchanged([muted(BEN, ANA)], UnmuteUser(ANA, BEN), since=EVERYBODY[0])
    lifted = unmuted(ANA, BEN)
    unchanged([muted(ANA, BEN), lifted], UnmuteUser(ANA, BEN), since=lifted)


def test_nobody_and_oneself() -> None:
    refused([], UnmuteUser(ANA, ANA), Conflict)
    refused([], UnmuteUser(ANA, NOBODY), NotFound)
    refused([muted(ANA, BEN), erased(BEN)], UnmuteUser(ANA, BEN), NotFound)
    refused([erased(ANA)], UnmuteUser(ANA, BEN), Unauthenticated)
