"""DeletePost: by its author alone."""

from command_api.posts.commands.delete_post import DeletePost, reads
from schemas.types import PostDeleted
from shared.errors import Forbidden, NotFound, Unauthenticated
from tests.specs.command_cases import ANA, BEN, NOBODY, erased, post_deleted, published, refused, then, unchanged

POST = published(ANA)


def test_an_author_deletes_their_post() -> None:
    assert isinstance(then([POST], DeletePost(ANA, POST.post_id), post_id=POST.post_id, subject_id=ANA), PostDeleted)


def test_again_changes_nothing() -> None:
    unchanged([POST, post_deleted(POST)], DeletePost(ANA, POST.post_id), since=post_deleted(POST))


def test_others_may_not_and_learn_no_more_than_they_see() -> None:
    refused([POST], DeletePost(BEN, POST.post_id), Forbidden)
    refused([published(ANA, "private")], DeletePost(BEN, POST.post_id), NotFound)
    refused([POST, post_deleted(POST)], DeletePost(BEN, POST.post_id), NotFound)
    refused([], DeletePost(BEN, POST.post_id), NotFound)
    refused([POST, erased(ANA)], DeletePost(BEN, POST.post_id), NotFound)
    refused([POST], DeletePost(NOBODY, POST.post_id), Unauthenticated)


def test_comments_and_likes_wait_for_it() -> None:
    assert reads(DeletePost(ANA, POST.post_id)).posts_exclusive == (POST.post_id,)
