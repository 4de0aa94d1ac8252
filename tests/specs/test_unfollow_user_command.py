"""UnfollowUser: clears the edge; where there is none, nothing changes."""

from command_api.relationships.commands.unfollow_user import UnfollowUser
from schemas.types import UserUnfollowed
from shared.errors import Conflict, NotFound, Unauthenticated
from tests.specs.command_cases import ANA, BEN, erased, followed, refused, registered, then, unchanged, unfollowed


def test_a_follow_is_withdrawn() -> None:
    draft = then([followed(ANA, BEN)], UnfollowUser(ANA, BEN), subject_id=ANA, followee_id=BEN)
    assert isinstance(draft, UserUnfollowed)


def test_again_changes_nothing() -> None:
    unchanged([followed(ANA, BEN), unfollowed(ANA, BEN)], UnfollowUser(ANA, BEN), since=unfollowed(ANA, BEN))


def test_what_never_was_has_been_so_since_the_registration() -> None:
    unchanged([], UnfollowUser(ANA, BEN), since=registered(ANA))


def test_refusals() -> None:
    refused([], UnfollowUser(ANA, ANA), Conflict)
    refused([followed(ANA, BEN), erased(BEN)], UnfollowUser(ANA, BEN), NotFound)
    refused([erased(ANA)], UnfollowUser(ANA, BEN), Unauthenticated)
