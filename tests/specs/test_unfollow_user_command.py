"""UnfollowUser: clears the edge, or the request for it; where there is neither, nothing changes."""

from command_api.decision import state_of
from command_api.relationships.commands.unfollow_user import UnfollowUser
from schemas.types import Event, UserUnfollowed
from shared.errors import Conflict, NotFound, Unauthenticated
from tests.specs.command_cases import (
    ANA,
    BEN,
    blocked,
    erased,
    followed,
    made_private,
    refused,
    registered,
    rejected,
    requested,
    then,
    unchanged,
    unfollowed,
)


def test_a_follow_is_withdrawn() -> None:
    draft = then([followed(ANA, BEN)], UnfollowUser(ANA, BEN), subject_id=ANA, followee_id=BEN)
    assert isinstance(draft, UserUnfollowed)


def test_a_request_is_withdrawn() -> None:
    given: list[Event] = [made_private(BEN), requested(ANA, BEN)]
    draft = then(given, UnfollowUser(ANA, BEN), followee_id=BEN)
    follow = state_of([*given, draft]).follow(ANA, BEN)
    assert follow is not None and not follow.requested and not follow.active
    unchanged([*given, rejected(BEN, ANA)], UnfollowUser(ANA, BEN), since=rejected(BEN, ANA))


def test_again_changes_nothing() -> None:
    unchanged([followed(ANA, BEN), unfollowed(ANA, BEN)], UnfollowUser(ANA, BEN), since=unfollowed(ANA, BEN))


def test_what_never_was_has_been_so_since_the_registration() -> None:
    unchanged([], UnfollowUser(ANA, BEN), since=registered(ANA))


def test_refusals() -> None:
    refused([], UnfollowUser(ANA, ANA), Conflict)
    refused([followed(ANA, BEN), erased(BEN)], UnfollowUser(ANA, BEN), NotFound)
    refused([followed(ANA, BEN), blocked(BEN, ANA, (ANA,))], UnfollowUser(ANA, BEN), NotFound)
    refused([blocked(ANA, BEN)], UnfollowUser(ANA, BEN), NotFound)
    refused([erased(ANA)], UnfollowUser(ANA, BEN), Unauthenticated)
