"""EditPost: by its author alone; the same text is no edit, and only new mentions are told."""

import pytest

from command_api.posts.commands.edit_post import EditPost
from schemas.types import PostEdited
from shared.errors import Forbidden, NotFound, Unauthenticated, ValidationFailed
from tests.specs.command_cases import (
    ANA,
    BEN,
    CLEO,
    NOBODY,
    edited,
    erased,
    post_deleted,
    published,
    refused,
    then,
    unchanged,
)

POST = published(ANA)
PEOPLE = (("ben", BEN), ("cleo", CLEO))


def edit(content: str = "other", **fields: object) -> EditPost:
    return EditPost(**{"actor_id": ANA, "post_id": POST.post_id, "content": content, **fields})  # type: ignore[arg-type]


def test_an_author_edits_their_post() -> None:
    draft = then(
        [POST],
        edit("hello @ben #One", hashtags=("two",), people=PEOPLE),
        subject_id=ANA,
        post_id=POST.post_id,
        content=f"hello <@{BEN}> #One",
        hashtags="one two",
        mentioned_ids=(BEN,),
        newly_mentioned_ids=(BEN,),
    )
    assert isinstance(draft, PostEdited)


def test_the_same_text_again_changes_nothing() -> None:
    unchanged([POST], edit("text"), since=POST)
    then([POST], edit("text", hashtags=("tag",)), content="text", hashtags="tag")
    mention = edited(POST, f"<@{BEN}>", (BEN,))
    unchanged([POST, mention], edit("@ben", people=PEOPLE), since=mention)
    then([POST, mention], edit("text"), content="text")


def test_whom_any_version_mentioned_is_not_told_again() -> None:
    first = published(ANA, mentioned_ids=(BEN,))
    without = edited(first, "nobody")
    command = edit("@ben @cleo", people=PEOPLE)
    then([first, without], command, mentioned_ids=(BEN, CLEO), newly_mentioned_ids=(CLEO,))


def test_people_who_are_gone_are_not_mentioned() -> None:
    then([POST, erased(BEN)], edit("@ben", people=PEOPLE), content="@ben", mentioned_ids=())


def test_others_may_not_and_learn_no_more_than_they_see() -> None:
    refused([POST], edit(actor_id=BEN), Forbidden)
    refused([published(ANA, "private")], edit(actor_id=BEN), NotFound)
    refused([], edit(), NotFound)
    refused([POST, post_deleted(POST)], edit(), NotFound)
    refused([POST, erased(ANA)], edit(), Unauthenticated)
    refused([POST], edit(actor_id=NOBODY), Unauthenticated)


@pytest.mark.parametrize("content", ["", " ", "x" * 5_001, "a\x00b", f"<@{BEN}>"])
def test_what_a_text_may_not_be(content: str) -> None:
    refused([POST], edit(content), ValidationFailed, "/content")


def test_what_hashtags_may_not_be() -> None:
    refused([POST], edit(hashtags=("two words",)), ValidationFailed, "/hashtags/0")
