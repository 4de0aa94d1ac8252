"""Given what was published, commented and deleted, then these posts. Cannot catch: what SQL makes of the changes."""

from projectors.posts.fold import COMMENT, POST, fold
from schemas.types import CommentAdded, PostDeleted, PostPublished, UserErased
from tests.specs.fold_cases import (
    ANA,
    BEN,
    CLEO,
    commented,
    deleted,
    delivered,
    erased,
    identifier,
    moment,
    one_of_each_kind,
    published,
)


def test_a_post_keeps_what_was_published() -> None:
    post = published(
        5, ANA, content="hi <@x>", hashtags="rookery straße", visibility="followers", language="de",
        media_ids=(identifier(90),), mentioned_ids=(BEN, CLEO),
        reply_to_id=identifier(1), reply_to_author_id=BEN, quote_of_id=identifier(2), quote_of_author_id=CLEO,
    )  # fmt: skip
    created = (
        ANA, "followers", "de", [identifier(90)], identifier(1), BEN, identifier(2), CLEO, moment(5),
    )  # fmt: skip
    assert delivered(fold, post).rows == {
        "post": {
            (identifier(5),): {
                "created": (identifier(5), created),
                "content": (identifier(5), ("hi <@x>", ["rookery", "straße"], [BEN, CLEO])),
            }
        }
    }


def test_text_whose_key_is_destroyed_leaves_a_post_without_text() -> None:
    changes = delivered(fold, published(1, ANA, content=None, hashtags=None))
    assert changes.rows["post"][(identifier(1),)]["content"] == (identifier(1), (None, [], []))


def test_comments_and_replies_name_their_post_and_their_parent() -> None:
    post = published(1, ANA)
    comment = commented(2, BEN, post, mentioned_ids=(CLEO,))
    reply = commented(3, ANA, post, parent_id=comment.comment_id, parent_author_id=BEN, content="so")
    assert delivered(fold, comment, reply).rows == {
        "comment": {
            (identifier(2),): {
                "created": (identifier(2), (identifier(1), BEN, None, None, moment(2))),
                "content": (identifier(2), ("well", [CLEO])),
            },
            (identifier(3),): {
                "created": (identifier(3), (identifier(1), ANA, identifier(2), BEN, moment(3))),
                "content": (identifier(3), ("so", [])),
            },
        }
    }


def test_a_deleted_post_takes_its_comments_along() -> None:
    post = published(1, ANA)
    changes = delivered(fold, post, commented(2, BEN, post), deleted(3, post))
    assert changes.gone == {post.post_id: identifier(3)}
    assert POST.gone_with == COMMENT.gone_with == ("post_id",)


def test_an_erased_person_takes_what_they_wrote_and_nobody_elses() -> None:
    post = published(1, ANA)
    changes = delivered(fold, post, commented(2, BEN, post), erased(3, ANA))
    assert changes.erased == {ANA: identifier(3)}
    assert POST.erased_with == COMMENT.erased_with == ("author_id",)


def test_nothing_else_touches_posts() -> None:
    answered = (PostPublished, PostDeleted, CommentAdded, UserErased)
    changes = delivered(fold, *(event for event in one_of_each_kind() if not isinstance(event, answered)))
    assert (changes.rows, changes.erased, changes.gone) == ({}, {}, {})
