"""UnsharePost: withdraws one's own share, also of a post that may no longer be seen."""

from command_api.reactions.commands.unshare_post import UnsharePost
from schemas.types import Event, PostUnshared
from shared.errors import NotFound, Unauthenticated
from tests.specs.command_cases import (
    ANA,
    BEN,
    CLEO,
    erased,
    followed,
    post_deleted,
    published,
    refused,
    shared,
    then,
    unchanged,
    unfollowed,
    unshared,
)

POST = published(ANA)
SHARE = shared(BEN, POST)


def test_a_share_is_withdrawn_by_its_id() -> None:
    draft = then([POST, SHARE], UnsharePost(BEN, POST.post_id), share_id=SHARE.share_id, post_author_id=ANA)
    assert isinstance(draft, PostUnshared)
    second = shared(BEN, POST, 530)
    then([POST, SHARE, unshared(SHARE), second], UnsharePost(BEN, POST.post_id), share_id=second.share_id)


def test_again_changes_nothing() -> None:
    unchanged([POST, SHARE, unshared(SHARE)], UnsharePost(BEN, POST.post_id), since=unshared(SHARE))


def test_what_never_was_has_been_so_since_the_post() -> None:
    unchanged([POST], UnsharePost(BEN, POST.post_id), since=POST)
    unchanged([POST, shared(CLEO, POST)], UnsharePost(BEN, POST.post_id), since=POST)


def test_one_s_own_share_can_be_withdrawn_when_the_post_may_no_longer_be_seen() -> None:
    post = published(ANA, "followers")
    share = shared(BEN, post)
    before: list[Event] = [post, followed(BEN, ANA), share, unfollowed(BEN, ANA, 600)]
    then(before, UnsharePost(BEN, post.post_id), share_id=share.share_id)
    refused([*before, unshared(share, 601)], UnsharePost(BEN, post.post_id), NotFound)


def test_what_is_gone_is_not_found() -> None:
    refused([POST, SHARE, post_deleted(POST)], UnsharePost(BEN, POST.post_id), NotFound)
    refused([POST, SHARE, erased(ANA)], UnsharePost(BEN, POST.post_id), NotFound)
    refused([POST, SHARE, erased(BEN)], UnsharePost(BEN, POST.post_id), Unauthenticated)
