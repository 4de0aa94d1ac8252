"""Given what people published and whom they follow, then what warm feeds must do. Cannot catch: whether they do it."""

from projectors.feed.fold import FeedChanges, fold
from schemas.types import (
    Event,
    FollowApproved,
    PostDeleted,
    PostPublished,
    UserBlocked,
    UserErased,
    UserFollowed,
    UserMuted,
    UserUnblocked,
    UserUnfollowed,
    UserUnmuted,
)
from tests.specs.fold_cases import (
    ANA,
    BEN,
    approved,
    blocked,
    deleted,
    erased,
    followed,
    muted,
    one_of_each_kind,
    published,
    rejected,
    requested,
    unblocked,
    unfollowed,
    unmuted,
)


def delivered(*events: Event) -> FeedChanges:
    changes = fold(events)
    assert fold([*events, *events]) == changes
    assert fold(events[::-1]) == changes
    return changes


def test_posts_are_pushed_by_author() -> None:
    one, two, other = published(1, ANA), published(2, ANA, visibility="private"), published(3, BEN)
    assert delivered(one, two, other) == FeedChanges(pushed={ANA: {one.post_id, two.post_id}, BEN: {other.post_id}})


def test_a_deleted_post_is_taken_out_of_its_authors_audience() -> None:
    post = published(1, ANA)
    changes = delivered(post, deleted(2, post))
    assert changes.removed == {ANA: {post.post_id}}


def test_a_follow_cools_the_follower_alone() -> None:
    assert delivered(followed(1, ANA, BEN)) == FeedChanges(cooled={ANA})


def test_an_unfollow_cools_and_leaves_the_audience() -> None:
    assert delivered(followed(1, ANA, BEN), unfollowed(2, ANA, BEN)) == FeedChanges(cooled={ANA}, left={(ANA, BEN)})


def test_an_approval_cools_the_follower_and_asking_or_being_declined_nobody() -> None:
    assert delivered(approved(1, BEN, ANA)) == FeedChanges(cooled={ANA})
    assert delivered(requested(1, ANA, BEN), rejected(2, BEN, ANA)) == FeedChanges()


def test_a_block_cools_both_and_takes_each_out_of_the_other_s_audience() -> None:
    both = {(ANA, BEN), (BEN, ANA)}
    assert delivered(blocked(1, ANA, BEN)) == FeedChanges(cooled={ANA, BEN}, left=both)
    assert delivered(blocked(1, ANA, BEN, ANA, BEN)) == FeedChanges(cooled={ANA, BEN}, left=both)


def test_an_unblock_cools_both() -> None:
    assert delivered(unblocked(1, ANA, BEN)) == FeedChanges(cooled={ANA, BEN})


def test_a_mute_cools_the_muter_and_takes_them_out_of_the_audience() -> None:
    assert delivered(muted(1, ANA, BEN)) == FeedChanges(cooled={ANA}, left={(ANA, BEN)})
    assert delivered(unmuted(1, ANA, BEN)) == FeedChanges(cooled={ANA})


def test_erasure_ends_a_feed_and_an_audience_and_cools_nobody() -> None:
    assert delivered(erased(1, ANA)) == FeedChanges(erased={ANA})


def test_nothing_else_touches_feeds() -> None:
    answered = (
        FollowApproved, PostDeleted, PostPublished, UserBlocked, UserErased, UserFollowed, UserMuted, UserUnblocked,
        UserUnfollowed, UserUnmuted,
    )  # fmt: skip
    others = [event for event in one_of_each_kind() if not isinstance(event, answered)]
    assert delivered(*others) == FeedChanges()
