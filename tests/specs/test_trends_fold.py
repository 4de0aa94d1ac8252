"""Given what people published and did, then what the trends must know. Cannot catch: what Redis makes of it."""

from projectors.trends.fold import Edge, TrendChanges, Word, fold
from schemas.types import (
    AccountDeactivated,
    AccountReactivated,
    CommentAdded,
    CommentDeleted,
    ContentHeld,
    ContentHidden,
    ContentRemoved,
    ContentRestored,
    ErasureCancelled,
    ErasureRequested,
    PostDeleted,
    PostEdited,
    PostLiked,
    PostPublished,
    PostShared,
    PostUnliked,
    PostUnshared,
    ProfileEdited,
    UserErased,
    UserSuspended,
    UserUnsuspended,
)
from tests.specs.fold_cases import (
    ANA,
    BEN,
    at,
    comment_deleted,
    commented,
    deleted,
    edited,
    erased,
    identifier,
    liked,
    moment,
    one_of_each_kind,
    published,
    shared,
    unliked,
    unshared,
)


def delivered(*events: object) -> TrendChanges:
    changes = fold(events)  # type: ignore[arg-type]
    assert fold([*events, *events]) == changes  # type: ignore[list-item]
    assert fold(events[::-1]) == changes  # type: ignore[arg-type]
    return changes


def test_a_post_says_whose_it_is_whether_it_is_public_and_its_hashtags() -> None:
    post = published(1, ANA, hashtags="two one two")
    author, hashtags = Word(identifier(1), ANA.hex), Word(identifier(1), "one two")
    expected = {"public": Word(identifier(1), "1"), "author": author, "hashtags": hashtags}
    assert delivered(post) == TrendChanges(posts={post.post_id: expected})
    hidden = delivered(published(1, ANA, visibility="followers", hashtags="one")).posts[post.post_id]
    assert hidden["public"] == Word(identifier(1), "0")


def test_an_edit_replaces_the_hashtags_and_nothing_else() -> None:
    post = published(1, ANA, hashtags="one")
    words = delivered(post, edited(2, post, hashtags="three")).posts[post.post_id]
    assert words["hashtags"] == Word(identifier(2), "three")
    assert words["public"] == Word(identifier(1), "1")


def test_a_text_that_can_no_longer_be_read_has_no_hashtags() -> None:
    post = published(1, ANA, hashtags=None)
    assert delivered(post).posts[post.post_id]["hashtags"] == Word(identifier(1), "")


def test_each_engagement_stands_until_it_is_taken_back() -> None:
    post = published(1, ANA)
    comment = commented(3, BEN, post)
    like, share, said = (
        Edge("like", post.post_id, BEN),
        Edge("share", post.post_id, BEN),
        Edge("comment", post.post_id, comment.comment_id),
    )
    stands = delivered(liked(2, BEN, post), shared(4, BEN, post), comment)
    assert stands.edges == {
        like: (identifier(2), moment(2), BEN, True),
        share: (identifier(4), moment(4), BEN, True),
        said: (identifier(3), moment(3), BEN, True),
    }
    taken = delivered(
        liked(2, BEN, post), comment, shared(4, BEN, post),
        unliked(5, BEN, post), comment_deleted(6, comment), unshared(7, BEN, post, 4),
    )  # fmt: skip
    assert {edge: stands for edge, (*_, stands) in taken.edges.items()} == {like: False, said: False, share: False}


def test_another_reaction_is_a_newer_like() -> None:
    post = published(1, ANA)
    changes = delivered(liked(2, BEN, post), liked(3, BEN, post, "love"))
    assert changes.edges == {Edge("like", post.post_id, BEN): (identifier(3), moment(3), BEN, True)}


def test_whoever_becomes_private_is_told_and_other_edits_are_not() -> None:
    private = delivered(at(1, ProfileEdited, ANA, private=True), at(2, ProfileEdited, ANA, bio="a bio"))
    assert private.people == {ANA: {"private": Word(identifier(1), "1")}}


def test_who_is_away_is_told_with_the_reason() -> None:
    away = delivered(
        at(1, AccountDeactivated, ANA), at(2, UserSuspended, ANA, decided_by_id=BEN), at(3, AccountReactivated, ANA)
    ).people[ANA]  # fmt: skip
    assert away == {"deactivated": Word(identifier(3), "0"), "suspended": Word(identifier(2), "1")}


def test_deletion_and_erasure() -> None:
    post = published(1, ANA)
    changes = delivered(deleted(2, post), erased(3, BEN))
    assert (changes.gone, changes.erased) == ({post.post_id: identifier(2)}, {BEN: identifier(3)})


def test_nothing_else_matters_to_trends() -> None:
    answered = (
        AccountDeactivated, AccountReactivated, ContentHeld, ContentHidden, ContentRemoved, ContentRestored,
        ErasureCancelled, ErasureRequested, UserSuspended, UserUnsuspended,
        CommentAdded, CommentDeleted, PostDeleted, PostEdited, PostLiked, PostPublished, PostShared, PostUnliked,
        PostUnshared, ProfileEdited, UserErased,
    )  # fmt: skip
    others = [event for event in one_of_each_kind() if not isinstance(event, answered)]
    changes = delivered(*others)
    assert changes == TrendChanges()
