"""Given what people published and whom they follow, then what warm feeds must do. Cannot catch: whether they do it."""

from projectors.feed.fold import FeedChanges, fold
from schemas.types import (
    Event,
    FollowApproved,
    PostDeleted,
    PostPublished,
    PostShared,
    PostUnshared,
    UserBlocked,
    UserErased,
    UserFollowed,
    UserMuted,
    UserUnblocked,
    UserUnfollowed,
    UserUnmuted,
)
from shared.feed_item import FeedItem
from tests.specs.fold_cases import (
    ANA,
    BEN,
    approved,
    blocked,
    deleted,
    erased,
    followed,
    identifier,
    muted,
    one_of_each_kind,
    published,
    rejected,
    requested,
    shared,
    unblocked,
    unfollowed,
    unmuted,
    unshared,
)


def of_post(event: PostPublished) -> FeedItem:
    return FeedItem.of_post(event.post_id)


def delivered(*events: Event) -> FeedChanges:
    changes = fold(events)
    assert fold([*events, *events]) == changes
    assert fold(events[::-1]) == changes
    return changes


def test_posts_are_pushed_by_author() -> None:
    one, two, other = published(1, ANA), published(2, ANA, visibility="private"), published(3, BEN)
    assert delivered(one, two, other) == FeedChanges(pushed={ANA: {of_post(one), of_post(two)}, BEN: {of_post(other)}})


def test_a_deleted_post_is_taken_out_of_its_authors_audience() -> None:
    post = published(1, ANA)
    changes = delivered(post, deleted(2, post))
    assert changes.removed == {ANA: {of_post(post)}}


def test_a_share_is_an_item_of_its_own_for_the_sharers_audience_until_it_is_withdrawn() -> None:
    post = published(1, ANA)
    item = FeedItem(identifier(2), post.post_id)
    assert delivered(shared(2, BEN, post)) == FeedChanges(pushed={BEN: {item}})
    assert delivered(unshared(3, BEN, post, 2)) == FeedChanges(removed={BEN: {item}})


def test_an_item_has_one_name_wherever_it_is_kept() -> None:
    post, share = FeedItem.of_post(identifier(1)), FeedItem(identifier(2), identifier(1))
    assert [FeedItem.of_member(item.member) for item in (post, share)] == [post, share]
    assert post.member == identifier(1).hex < share.member == f"{identifier(2).hex}.{identifier(1).hex}"


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
        FollowApproved, PostDeleted, PostPublished, PostShared, PostUnshared, UserBlocked, UserErased, UserFollowed,
        UserMuted, UserUnblocked, UserUnfollowed, UserUnmuted,
    )  # fmt: skip
    others = [event for event in one_of_each_kind() if not isinstance(event, answered)]
    assert delivered(*others) == FeedChanges()
