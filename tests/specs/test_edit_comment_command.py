"""EditComment: by its author alone, while its post stands; only new mentions are told."""

import pytest

from command_api.posts.commands.edit_comment import EditComment
from shared.errors import Forbidden, NotFound, Unauthenticated, ValidationFailed
from tests.specs.command_cases import (
    ANA,
    BEN,
    CLEO,
    NOBODY,
    comment_deleted,
    comment_edited,
    commented,
    erased,
    post_deleted,
    published,
    refused,
    then,
    unchanged,
)

POST = published(ANA)
COMMENT = commented(BEN, POST, mentioned_ids=(CLEO,))


def edit(content: str = "other", **fields: object) -> EditComment:
    return EditComment(**{"actor_id": BEN, "comment_id": COMMENT.comment_id, "content": content, **fields})  # type: ignore[arg-type]


def test_an_author_edits_their_comment() -> None:
    people = (("ana", ANA), ("cleo", CLEO))
    then(
        [POST, COMMENT],
        edit("@ana @cleo", people=people),
        subject_id=BEN,
        comment_id=COMMENT.comment_id,
        post_id=POST.post_id,
        post_author_id=ANA,
        content=f"<@{ANA}> <@{CLEO}>",
        mentioned_ids=(ANA, CLEO),
        newly_mentioned_ids=(ANA,),
    )


def test_the_same_text_again_changes_nothing() -> None:
    unchanged([POST, COMMENT], edit("text"), since=COMMENT)
    mended = comment_edited(COMMENT, "mended")
    unchanged([POST, COMMENT, mended], edit("mended"), since=mended)


def test_others_may_not_and_learn_no_more_than_they_see() -> None:
    refused([POST, COMMENT], edit(actor_id=ANA), Forbidden)
    hidden = published(ANA, "private")
    refused([hidden, commented(ANA, hidden)], edit(), NotFound)
    refused([POST, COMMENT, erased(BEN)], edit(actor_id=ANA), NotFound)
    refused([POST, COMMENT, comment_deleted(COMMENT)], edit(actor_id=ANA), NotFound)
    refused([POST, COMMENT], edit(actor_id=NOBODY), Unauthenticated)


def test_what_is_not_there_any_more_is_not_edited() -> None:
    refused([POST], edit(), NotFound)
    refused([POST, COMMENT, comment_deleted(COMMENT)], edit(), NotFound)
    refused([POST, COMMENT, post_deleted(POST)], edit(), NotFound)
    refused([POST, COMMENT, erased(ANA)], edit(), NotFound)


@pytest.mark.parametrize("content", ["", " ", "x" * 2_001, f"<@{ANA}>"])
def test_what_a_text_may_not_be(content: str) -> None:
    refused([POST, COMMENT], edit(content), ValidationFailed, "/content")
