"""UnlikePost: withdraws one's own reaction, also from a post that may no longer be seen."""

from command_api.reactions.commands.unlike_post import UnlikePost
from schemas.types import Event, PostUnliked
from shared.errors import NotFound, Unauthenticated
from tests.specs.command_cases import (
    ANA,
    BEN,
    CLEO,
    erased,
    followed,
    liked,
    post_deleted,
    published,
    refused,
    then,
    unchanged,
    unfollowed,
    unliked,
)

POST = published(ANA)


def test_a_reaction_is_withdrawn() -> None:
    draft = then([POST, liked(BEN, POST)], UnlikePost(BEN, POST.post_id), post_author_id=ANA)
    assert isinstance(draft, PostUnliked)


def test_again_changes_nothing() -> None:
    unchanged([POST, liked(BEN, POST), unliked(BEN, POST)], UnlikePost(BEN, POST.post_id), since=unliked(BEN, POST))


def test_what_never_was_has_been_so_since_the_post() -> None:
    unchanged([POST], UnlikePost(BEN, POST.post_id), since=POST)
    unchanged([POST, liked(CLEO, POST)], UnlikePost(BEN, POST.post_id), since=POST)


def test_one_s_own_reaction_can_be_withdrawn_when_the_post_may_no_longer_be_seen() -> None:
    post = published(ANA, "followers")
    before: list[Event] = [post, followed(BEN, ANA), liked(BEN, post), unfollowed(BEN, ANA, 600)]
    then(before, UnlikePost(BEN, post.post_id))
    refused([*before, unliked(BEN, post, 601)], UnlikePost(BEN, post.post_id), NotFound)


def test_what_is_gone_is_not_found() -> None:
    refused([POST, liked(BEN, POST), post_deleted(POST)], UnlikePost(BEN, POST.post_id), NotFound)
    refused([POST, liked(BEN, POST), erased(ANA)], UnlikePost(BEN, POST.post_id), NotFound)
    refused([POST, liked(BEN, POST), erased(BEN)], UnlikePost(BEN, POST.post_id), Unauthenticated)
