"""Given what was published, commented and deleted, then these posts. Cannot catch: what SQL makes of the changes."""

from projectors.posts.fold import COMMENT, POST, POST_VERSION, fold
from schemas.types import (
    CommentAdded,
    CommentDeleted,
    CommentEdited,
    ContentHeld,
    ContentHidden,
    ContentRemoved,
    ContentRestored,
    ContentScored,
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
    moderated,
    moment,
    one_of_each_kind,
    published,
    scored,
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


def test_the_newest_word_of_moderators_stands_and_says_whose_the_post_is() -> None:
    post = published(1, ANA)
    row = delivered(fold, moderated(2, ContentHeld, post), moderated(3, ContentHidden, post)).rows["post"]
    assert row == {
        (post.post_id,): {"place": (identifier(3), (ANA,)), "moderation": (identifier(3), ("hidden",))},
    }
    removed = delivered(fold, moderated(4, ContentRemoved, post)).rows["post"][(post.post_id,)]
    assert removed["moderation"] == (identifier(4), ("removed",))
    restored = delivered(fold, moderated(4, ContentRemoved, post), moderated(5, ContentRestored, post))
    assert restored.rows["post"][(post.post_id,)]["moderation"] == (identifier(5), (None,))


def test_a_comment_is_moderated_where_it_stands_and_its_text_stays() -> None:
    comment = commented(2, BEN, published(1, ANA))
    changes = delivered(fold, comment, moderated(3, ContentHidden, comment))
    row = changes.rows["comment"][(comment.comment_id,)]
    assert set(changes.rows) == {"comment"}
    assert row["place"] == (identifier(3), (comment.post_id, BEN))
    assert row["moderation"] == (identifier(3), ("hidden",))
    assert row["content"][1][0] == comment.content


def test_a_post_has_its_newest_score_and_a_comment_none() -> None:
    post = published(1, ANA)
    changes = delivered(fold, scored(3, post, 250_000), scored(2, post, 900_000), scored(4, commented(2, BEN, post), 7))
    assert changes.rows == {
        "post": {(post.post_id,): {"place": (identifier(3), (ANA,)), "score": (identifier(3), (250_000,))}}
    }


def test_nothing_else_touches_posts() -> None:
    answered = (
        PostPublished, PostEdited, PostDeleted, CommentAdded, CommentEdited, CommentDeleted, UserErased, ContentHeld,
        ContentHidden, ContentRemoved, ContentRestored, ContentScored,
    )  # fmt: skip
    changes = delivered(fold, *(event for event in one_of_each_kind() if not isinstance(event, answered)))
    assert (changes.rows, changes.erased, changes.gone) == ({}, {}, {})
