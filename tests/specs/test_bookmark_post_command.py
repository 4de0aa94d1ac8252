"""BookmarkPost: what may be seen is kept, once."""

from command_api.reactions.commands.bookmark_post import BookmarkPost
from schemas.types import PostBookmarked
from shared.errors import NotFound, Unauthenticated
from tests.specs.command_cases import (
    ANA,
    BEN,
    NOBODY,
    bookmarked,
    erased,
    followed,
    post_deleted,
    published,
    refused,
    then,
    unbookmarked,
    unchanged,
)

POST = published(ANA)


def test_a_post_is_kept() -> None:
    command = BookmarkPost(BEN, POST.post_id)
    assert isinstance(then([POST], command, subject_id=BEN, post_id=POST.post_id, post_author_id=ANA), PostBookmarked)
    then([POST, bookmarked(BEN, POST), unbookmarked(BEN, POST)], command)
    then([POST], BookmarkPost(ANA, POST.post_id), subject_id=ANA)


def test_again_changes_nothing() -> None:
    unchanged([POST, bookmarked(BEN, POST)], BookmarkPost(BEN, POST.post_id), since=bookmarked(BEN, POST))


def test_what_may_not_be_seen_is_not_kept() -> None:
    command = BookmarkPost(BEN, POST.post_id)
    refused([], command, NotFound)
    refused([POST, post_deleted(POST)], command, NotFound)
    refused([POST, erased(ANA)], command, NotFound)
    refused([published(ANA, "private")], command, NotFound)
    refused([published(ANA, "followers")], command, NotFound)
    then([published(ANA, "followers"), followed(BEN, ANA)], command)
    refused([POST], BookmarkPost(NOBODY, POST.post_id), Unauthenticated)
