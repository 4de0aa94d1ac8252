"""DeleteComment: by its author alone; the event names all who were told of it."""

from command_api.posts.commands.add_comment import AddComment
from command_api.posts.commands.delete_comment import DeleteComment, reads
from schemas.types import Event
from shared.errors import Forbidden, NotFound, Unauthenticated
from tests.specs.command_cases import (
    ANA,
    BEN,
    CLEO,
    NOBODY,
    comment_deleted,
    comment_edited,
    commented,
    erased,
    followed,
    post_deleted,
    published,
    refused,
    then,
    unchanged,
    unfollowed,
)

POST = published(ANA)
FIRST = commented(CLEO, POST)
COMMENT = commented(BEN, POST, number=401, parent=FIRST, mentioned_ids=(CLEO,))
GIVEN: list[Event] = [POST, FIRST, COMMENT]


def test_an_author_deletes_their_comment() -> None:
    edit = comment_edited(COMMENT, f"<@{ANA}>", (ANA,))
    then(
        [*GIVEN, edit],
        DeleteComment(BEN, COMMENT.comment_id),
        subject_id=BEN,
        comment_id=COMMENT.comment_id,
        post_id=POST.post_id,
        post_author_id=ANA,
        parent_id=FIRST.comment_id,
        parent_author_id=CLEO,
        mentioned_ids=(CLEO, ANA),
    )


def test_again_changes_nothing() -> None:
    gone = comment_deleted(COMMENT)
    unchanged([*GIVEN, gone], DeleteComment(BEN, COMMENT.comment_id), since=gone)


def test_nobody_answers_it_any_more() -> None:
    answer = AddComment(actor_id=CLEO, post_id=POST.post_id, content="so", parent_id=COMMENT.comment_id)
    refused([*GIVEN, comment_deleted(COMMENT)], answer, NotFound)


def test_others_may_not_and_learn_no_more_than_they_see() -> None:
    refused(GIVEN, DeleteComment(ANA, COMMENT.comment_id), Forbidden)
    refused(GIVEN, DeleteComment(CLEO, COMMENT.comment_id), Forbidden)
    refused([*GIVEN, comment_deleted(COMMENT)], DeleteComment(CLEO, COMMENT.comment_id), NotFound)
    hidden = published(ANA, "private")
    refused([hidden, commented(ANA, hidden)], DeleteComment(BEN, FIRST.comment_id), NotFound)
    refused([POST], DeleteComment(BEN, COMMENT.comment_id), NotFound)
    refused(GIVEN, DeleteComment(NOBODY, COMMENT.comment_id), Unauthenticated)


def test_an_own_comment_goes_also_from_where_one_may_not_look_any_more() -> None:
    post = published(ANA, "followers")
    comment = commented(BEN, post)
    given: list[Event] = [post, followed(BEN, ANA), comment, unfollowed(BEN, ANA)]
    then(given, DeleteComment(BEN, comment.comment_id), comment_id=comment.comment_id)
    refused([*given, post_deleted(post)], DeleteComment(BEN, comment.comment_id), NotFound)
    refused([*given, erased(ANA)], DeleteComment(BEN, comment.comment_id), NotFound)


def test_answers_wait_for_it() -> None:
    assert reads(DeleteComment(BEN, COMMENT.comment_id)).comments_exclusive == (COMMENT.comment_id,)
