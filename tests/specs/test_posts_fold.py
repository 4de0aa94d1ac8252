"""Given what was published, commented and deleted, then these posts. Cannot catch: what SQL makes of the changes."""

from projectors.posts.fold import COMMENT, POST, POST_VERSION, fold
from schemas.types import (
    CommentAdded,
    CommentDeleted,
    CommentEdited,
    PostDeleted,
    PostEdited,
    PostPublished,
    UserErased,
)
from tests.specs.fold_cases import (
    ANA,
    BEN,
    CLEO,
    comment_deleted,
    comment_edited,
    commented,
    deleted,
    delivered,
    edited,
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
        "followers", "de", [identifier(90)], identifier(1), BEN, identifier(2), CLEO, moment(5),
    )  # fmt: skip
    text = ("hi <@x>", ["rookery", "straße"], [BEN, CLEO])
    assert delivered(fold, post).rows == {
        "post": {
            (identifier(5),): {
                "place": (identifier(5), (ANA,)),
                "created": (identifier(5), created),
                "content": (identifier(5), (*text, None)),
            }
        },
        "post_version": {(identifier(5), identifier(5)): {"written": (identifier(5), (ANA, *text, moment(5)))}},
    }


def test_an_edit_is_the_posts_text_and_one_version_more() -> None:
    post = published(1, ANA)
    second = edited(3, post, content="two", hashtags="b", mentioned_ids=(BEN,), newly_mentioned_ids=(BEN,))
    changes = delivered(fold, post, edited(2, post, content="one"), second)
    assert changes.rows["post"][(post.post_id,)]["content"] == (identifier(3), ("two", ["b"], [BEN], moment(3)))
    assert changes.rows["post"][(post.post_id,)]["created"][0] == post.event_id
    assert {key: groups["written"][1][1] for key, groups in changes.rows["post_version"].items()} == {
        (post.post_id, identifier(1)): "hello",
        (post.post_id, identifier(2)): "one",
        (post.post_id, identifier(3)): "two",
    }


def test_an_edit_alone_says_whose_it_is() -> None:
    post = published(1, ANA)
    changes = delivered(fold, edited(2, post))
    assert changes.rows["post"][(post.post_id,)]["place"] == (identifier(2), (ANA,))
    assert POST_VERSION.erased_with == ("author_id",) and POST_VERSION.gone_with == ("post_id",)


def test_text_whose_key_is_destroyed_leaves_a_post_without_text() -> None:
    changes = delivered(fold, published(1, ANA, content=None, hashtags=None))
    assert changes.rows["post"][(identifier(1),)]["content"] == (identifier(1), (None, [], [], None))


def test_comments_and_replies_name_their_post_and_their_parent() -> None:
    post = published(1, ANA)
    comment = commented(2, BEN, post, mentioned_ids=(CLEO,))
    reply = commented(3, ANA, post, parent_id=comment.comment_id, parent_author_id=BEN, content="so")
    assert delivered(fold, comment, reply).rows == {
        "comment": {
            (identifier(2),): {
                "place": (identifier(2), (identifier(1), BEN)),
                "created": (identifier(2), (None, None, moment(2))),
                "content": (identifier(2), ("well", [CLEO], None)),
            },
            (identifier(3),): {
                "place": (identifier(3), (identifier(1), ANA)),
                "created": (identifier(3), (identifier(2), BEN, moment(3))),
                "content": (identifier(3), ("so", [], None)),
            },
        }
    }


def test_a_comment_is_what_its_newest_edit_says() -> None:
    comment = commented(2, BEN, published(1, ANA))
    changes = delivered(fold, comment, comment_edited(3, comment, content="mended", mentioned_ids=(CLEO,)))
    assert changes.rows["comment"][(comment.comment_id,)]["content"] == (identifier(3), ("mended", [CLEO], moment(3)))


def test_a_deleted_comment_stays_as_a_mark_without_its_text_whatever_comes_late() -> None:
    comment = commented(2, BEN, published(1, ANA))
    groups = delivered(fold, comment_deleted(4, comment), comment_edited(3, comment), comment).rows["comment"]
    assert groups == {
        (comment.comment_id,): {
            "place": (identifier(4), (comment.post_id, BEN)),
            "created": (identifier(2), (None, None, moment(2))),
            "content": (identifier(4), (None, [], None)),
            "deleted": (identifier(4), ()),
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
    answered = (PostPublished, PostEdited, PostDeleted, CommentAdded, CommentEdited, CommentDeleted, UserErased)
    changes = delivered(fold, *(event for event in one_of_each_kind() if not isinstance(event, answered)))
    assert (changes.rows, changes.erased, changes.gone) == ({}, {}, {})
