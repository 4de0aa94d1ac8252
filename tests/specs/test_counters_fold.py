"""Given what people did, then these rows to count. Cannot catch: the counts themselves, which SQL keeps
(tests/runtime)."""

from typing import Any

from projectors.counters.fold import BOOKMARK, COMMENT, COUNT_TABLES, POST, PROJECTION, REACTION, SHARE, fold
from schemas.types import (
    CommentAdded,
    CommentDeleted,
    ContentHeld,
    ContentHidden,
    ContentRemoved,
    ContentRestored,
    PostBookmarked,
    PostDeleted,
    PostLiked,
    PostPublished,
    PostShared,
    PostUnbookmarked,
    PostUnliked,
    PostUnshared,
    UserErased,
)
from shared.ids import day_of
from tests.specs.fold_cases import (
    ANA,
    BEN,
    CLEO,
    bookmarked,
    comment_deleted,
    commented,
    deleted,
    delivered,
    erased,
    identifier,
    liked,
    moderated,
    moment,
    one_of_each_kind,
    published,
    scored,
    shared,
    unbookmarked,
    unliked,
    unshared,
)

POST_BY_ANA = published(1, ANA)
A_DAY = 86_400


def day(step: int) -> int:
    return day_of(moment(step))


def test_a_like_is_an_active_edge_with_its_day_and_the_posts_author() -> None:
    changes = delivered(fold, liked(2, BEN, POST_BY_ANA, "love"))
    edge = (identifier(2), (True, "love", ANA, day(2)))
    assert changes.rows == {"reaction": {(POST_BY_ANA.post_id, BEN): {"edge": edge}}}


def test_another_reaction_takes_the_place_of_the_first_with_its_own_day() -> None:
    later = 2 + A_DAY
    changes = delivered(fold, liked(2, BEN, POST_BY_ANA), liked(later, BEN, POST_BY_ANA, "love"))
    edge = (identifier(later), (True, "love", ANA, day(2) + 1))
    assert changes.rows == {"reaction": {(POST_BY_ANA.post_id, BEN): {"edge": edge}}}


def test_an_undone_like_leaves_a_mark_that_an_older_like_does_not_lift() -> None:
    changes = delivered(fold, liked(2, BEN, POST_BY_ANA), unliked(3, BEN, POST_BY_ANA))
    edge = (identifier(3), (False, None, ANA, day(3)))
    assert changes.rows == {"reaction": {(POST_BY_ANA.post_id, BEN): {"edge": edge}}}


def test_a_post_keeps_whom_it_quotes_and_its_deletion_does_not_wait_for_its_creation() -> None:
    quoting = published(2, BEN, quote_of_id=POST_BY_ANA.post_id, quote_of_author_id=ANA)
    changes = delivered(fold, quoting, deleted(3, quoting), deleted(4, POST_BY_ANA))
    assert changes.rows == {
        "post": {
            (quoting.post_id,): {
                "created": (identifier(2), (BEN, POST_BY_ANA.post_id)),
                "deleted": (identifier(3), ()),
            },
            (POST_BY_ANA.post_id,): {"deleted": (identifier(4), ())},
        }
    }
    assert changes.gone == {quoting.post_id: identifier(3), POST_BY_ANA.post_id: identifier(4)}


def test_a_comment_counts_for_its_post_its_parent_and_the_affinity_of_its_author() -> None:
    first = commented(2, BEN, POST_BY_ANA)
    reply = commented(3, CLEO, POST_BY_ANA, parent_id=first.comment_id, parent_author_id=BEN)
    changes = delivered(fold, first, reply)
    assert changes.rows == {
        "comment": {
            (first.comment_id,): {
                "place": (identifier(2), (POST_BY_ANA.post_id, BEN, ANA)),
                "created": (identifier(2), (None, day(2))),
            },
            (reply.comment_id,): {
                "place": (identifier(3), (POST_BY_ANA.post_id, CLEO, ANA)),
                "created": (identifier(3), (first.comment_id, day(3))),
            },
        }
    }


def test_a_deleted_comment_counts_no_more_and_its_mark_does_not_wait_for_the_comment() -> None:
    comment = commented(2, BEN, POST_BY_ANA)
    mark = {
        "place": (identifier(3), (POST_BY_ANA.post_id, BEN, ANA)),
        "deleted": (identifier(3), ()),
    }
    assert delivered(fold, comment_deleted(3, comment)).rows == {"comment": {(comment.comment_id,): mark}}
    both = delivered(fold, comment, comment_deleted(3, comment)).rows["comment"][(comment.comment_id,)]
    assert both == {**mark, "created": (identifier(2), (None, day(2)))}
    counted = "created_event is not null and deleted_event is null and not coalesce(removed, false)"
    assert COMMENT.counted == counted


def test_a_removed_comment_does_not_count_until_it_is_restored() -> None:
    comment = commented(2, BEN, POST_BY_ANA)
    key, place = (comment.comment_id,), (POST_BY_ANA.post_id, BEN, ANA)
    removed = delivered(fold, moderated(3, ContentRemoved, comment)).rows
    row = {"place": (identifier(3), place), "moderation": (identifier(3), (True,))}
    assert removed == {"comment": {key: row}}
    kinds: tuple[type[Any], ...] = (ContentRestored, ContentHeld, ContentHidden)
    for kind in kinds:
        later = delivered(fold, moderated(3, ContentRemoved, comment), moderated(4, kind, comment)).rows
        assert later["comment"][key]["moderation"] == (identifier(4), (False,))


def test_what_moderators_do_about_a_post_changes_no_count() -> None:
    kinds: tuple[type[Any], ...] = (ContentHeld, ContentHidden, ContentRemoved, ContentRestored)
    words = [moderated(step, kind, POST_BY_ANA) for step, kind in enumerate(kinds, start=2)]
    assert delivered(fold, *words, scored(9, POST_BY_ANA, 7)).rows == {}


def test_a_bookmark_is_an_edge_that_outlives_its_post_and_is_counted_nowhere() -> None:
    kept = delivered(fold, bookmarked(2, BEN, POST_BY_ANA))
    assert kept.rows == {"bookmark": {(BEN, POST_BY_ANA.post_id): {"edge": (identifier(2), (True, moment(2)))}}}
    again = delivered(fold, bookmarked(2, BEN, POST_BY_ANA), unbookmarked(3, BEN, POST_BY_ANA))
    assert again.rows["bookmark"][(BEN, POST_BY_ANA.post_id)] == {"edge": (identifier(3), (False, moment(3)))}
    assert (BOOKMARK.erased_with, BOOKMARK.gone_with, BOOKMARK.counts) == (("actor_id",), (), ())


def test_a_share_is_an_active_edge_under_its_own_id_with_its_day_and_the_posts_author() -> None:
    changes = delivered(fold, shared(2, BEN, POST_BY_ANA))
    edge = (identifier(2), (True, identifier(2), ANA, day(2)))
    assert changes.rows == {"share": {(POST_BY_ANA.post_id, BEN): {"edge": edge}}}


def test_a_withdrawn_share_leaves_a_mark_and_another_has_another_id() -> None:
    withdrawn = (shared(2, BEN, POST_BY_ANA), unshared(3, BEN, POST_BY_ANA, 2))
    edge = (identifier(3), (False, None, ANA, day(3)))
    assert delivered(fold, *withdrawn).rows == {"share": {(POST_BY_ANA.post_id, BEN): {"edge": edge}}}
    again = delivered(fold, *withdrawn, shared(4, BEN, POST_BY_ANA))
    newest = (identifier(4), (True, identifier(4), ANA, day(4)))
    assert again.rows == {"share": {(POST_BY_ANA.post_id, BEN): {"edge": newest}}}
    assert SHARE.gone_with == ("post_id",)


def test_erasure_takes_what_the_person_did_and_what_was_done_to_theirs() -> None:
    changes = delivered(fold, liked(2, BEN, POST_BY_ANA), erased(3, ANA))
    assert changes.erased == {ANA: identifier(3)}
    assert POST.erased_with == ("author_id",)
    assert REACTION.erased_with == SHARE.erased_with == ("actor_id", "author_id")
    assert COMMENT.erased_with == ("author_id", "post_author_id")


def test_every_count_goes_into_a_declared_table_by_its_key() -> None:
    declared = {table.name: table for table in COUNT_TABLES}
    for table in PROJECTION.tables:
        for count in table.counts:
            assert count.column in declared[count.into].columns
            assert tuple(count.by) == tuple(declared[count.into].key)


def test_nothing_else_touches_the_counters() -> None:
    answered = (
        PostLiked, PostUnliked, PostBookmarked, PostUnbookmarked, CommentAdded, CommentDeleted, PostPublished,
        PostDeleted, PostShared, PostUnshared, UserErased, ContentHeld, ContentHidden, ContentRemoved, ContentRestored,
    )  # fmt: skip
    changes = delivered(fold, *(event for event in one_of_each_kind() if not isinstance(event, answered)))
    assert (changes.rows, changes.erased, changes.gone) == ({}, {}, {})
