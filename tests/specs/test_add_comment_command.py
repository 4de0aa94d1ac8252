"""AddComment: under posts that may be seen, in answer to comments of the same post."""

import pytest

from command_api.posts.commands.add_comment import AddComment
from shared.errors import NotFound, Unauthenticated, ValidationFailed
from tests.specs.command_cases import (
    ANA,
    BEN,
    CLEO,
    NOBODY,
    commented,
    erased,
    followed,
    identifier,
    post_deleted,
    published,
    refused,
    then,
)

POST = published(ANA)
COMMENT = commented(CLEO, POST)


def test_a_comment_is_added() -> None:
    then(
        [POST],
        AddComment(actor_id=BEN, post_id=POST.post_id, content="so"),
        subject_id=BEN,
        post_author_id=ANA,
        parent_id=None,
        parent_author_id=None,
        content="so",
    )


def test_an_answer_names_the_comment_and_its_author() -> None:
    then(
        [POST, COMMENT],
        AddComment(actor_id=BEN, post_id=POST.post_id, content="so", parent_id=COMMENT.comment_id),
        parent_id=COMMENT.comment_id,
        parent_author_id=CLEO,
    )


def test_the_parent_stands_under_the_same_post_and_its_author_is_there() -> None:
    other = published(ANA, number=301)
    refused(
        [POST, other, COMMENT],
        AddComment(actor_id=BEN, post_id=other.post_id, content="so", parent_id=COMMENT.comment_id),
        NotFound,
    )
    answer = AddComment(actor_id=BEN, post_id=POST.post_id, content="so", parent_id=COMMENT.comment_id)
    refused([POST], answer, NotFound)
    refused([POST, COMMENT, erased(CLEO)], answer, NotFound)


def test_posts_that_may_not_be_seen() -> None:
    command = AddComment(actor_id=BEN, post_id=POST.post_id, content="so")
    refused([], command, NotFound)
    refused([POST, post_deleted(POST)], command, NotFound)
    refused([POST, erased(ANA)], command, NotFound)
    refused([published(ANA, "private")], command, NotFound)
    refused([published(ANA, "followers")], command, NotFound)
    then([published(ANA, "followers"), followed(BEN, ANA)], command)


@pytest.mark.parametrize("content", ["", " ", "x" * 2_001, f"<@{identifier(9)}>"])
def test_what_a_text_may_not_be(content: str) -> None:
    refused([POST], AddComment(actor_id=BEN, post_id=POST.post_id, content=content), ValidationFailed, "/content")


def test_mentions() -> None:
    command = AddComment(actor_id=BEN, post_id=POST.post_id, content="@ana", people=(("ana", ANA),))
    then([POST], command, content=f"<@{ANA}>", mentioned_ids=(ANA,))


def test_only_people_comment() -> None:
    refused([POST], AddComment(actor_id=NOBODY, post_id=POST.post_id, content="so"), Unauthenticated)
