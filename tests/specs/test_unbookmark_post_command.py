"""UnbookmarkPost: what is kept is let go, whatever has become of the post."""

from command_api.reactions.commands.unbookmark_post import UnbookmarkPost
from schemas.types import PostUnbookmarked
from shared.errors import NotFound, Unauthenticated
from tests.specs.command_cases import (
    ANA,
    BEN,
    NOBODY,
    bookmarked,
    erased,
    post_deleted,
    published,
    refused,
    then,
    unbookmarked,
    unchanged,
)

POST = published(ANA)
COMMAND = UnbookmarkPost(BEN, POST.post_id)


def test_a_post_is_let_go() -> None:
    draft = then([POST, bookmarked(BEN, POST)], COMMAND, subject_id=BEN, post_id=POST.post_id, post_author_id=ANA)
    assert isinstance(draft, PostUnbookmarked)


def test_also_one_that_is_gone() -> None:
    then([POST, bookmarked(BEN, POST), post_deleted(POST)], COMMAND)
    then([POST, bookmarked(BEN, POST), erased(ANA)], COMMAND)


def test_what_is_not_kept_stays_so() -> None:
    unchanged([POST], COMMAND, since=POST)
    let_go = unbookmarked(BEN, POST)
    unchanged([POST, bookmarked(BEN, POST), let_go], COMMAND, since=let_go)


def test_who_never_kept_it_learns_no_more_than_they_see() -> None:
    refused([], COMMAND, NotFound)
    refused([published(ANA, "private")], COMMAND, NotFound)
    refused([POST, post_deleted(POST)], COMMAND, NotFound)
    refused([POST], UnbookmarkPost(NOBODY, POST.post_id), Unauthenticated)
