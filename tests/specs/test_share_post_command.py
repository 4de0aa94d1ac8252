"""SharePost: what may be seen is passed on, once, and each share has an id of its own."""

from command_api.decision import minted
from command_api.reactions.commands.share_post import SharePost
from schemas.types import PostShared
from shared.errors import NotFound, Unauthenticated
from tests.specs.command_cases import (
    ANA,
    BEN,
    NOBODY,
    erased,
    followed,
    identifier,
    post_deleted,
    published,
    refused,
    shared,
    then,
    unchanged,
    unshared,
)

POST = published(ANA)


def test_a_post_is_shared() -> None:
    command = SharePost(BEN, POST.post_id)
    assert isinstance(then([POST], command, subject_id=BEN, post_id=POST.post_id, post_author_id=ANA), PostShared)
    then([POST], SharePost(ANA, POST.post_id), subject_id=ANA)


def test_the_share_has_its_events_id() -> None:
    event = minted(then([POST], SharePost(BEN, POST.post_id)), identifier(800))
    assert isinstance(event, PostShared)
    assert event.share_id == event.event_id == identifier(800)


def test_again_changes_nothing_until_it_was_withdrawn() -> None:
    share = shared(BEN, POST)
    unchanged([POST, share], SharePost(BEN, POST.post_id), since=share)
    then([POST, share, unshared(share)], SharePost(BEN, POST.post_id))


def test_what_may_not_be_seen_is_not_shared() -> None:
    command = SharePost(BEN, POST.post_id)
    refused([], command, NotFound)
    refused([POST, post_deleted(POST)], command, NotFound)
    refused([POST, erased(ANA)], command, NotFound)
    refused([published(ANA, "private")], command, NotFound)
    refused([published(ANA, "followers")], command, NotFound)
    then([published(ANA, "followers"), followed(BEN, ANA)], command)
    refused([POST], SharePost(NOBODY, POST.post_id), Unauthenticated)
