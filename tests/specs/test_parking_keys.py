"""Claim: an event is parked by the smallest thing it is about, and holds up nothing else.

Oracle: the expectations written here. Cannot catch: two events of one row without a key in common, which
tests/properties/test_parking.py looks for.
"""

from typing import Any
from uuid import UUID

import pytest

from projectors.runtime.parking_keys import parking_keys
from schemas.types import (
    CommentAdded,
    CommentDeleted,
    ContentHidden,
    ContentScored,
    FollowApproved,
    PostDeleted,
    PostEdited,
    PostLiked,
    PostPublished,
    PostShared,
    PostUnliked,
    PostUnshared,
    ProfileEdited,
    UserBlocked,
    UserErased,
    UserFollowed,
    UserMuted,
    UserRegistered,
    UserSuspended,
)

ANA, BEN, CEM, POST, COMMENT, SHARE = (UUID(int=number) for number in range(1, 7))


def made(kind: Any, subject_id: UUID, **fields: Any) -> Any:
    return kind(event_id=UUID(int=99), occurred_at=1, subject_id=subject_id, **fields)


def like(subject_id: UUID, kind: Any = PostLiked, **more: Any) -> Any:
    return made(kind, subject_id, post_id=POST, post_author_id=BEN, **more)


LIKE = like(ANA, reaction="like")
COMMENTED = made(CommentAdded, ANA, comment_id=COMMENT, post_id=POST, post_author_id=BEN, content="text")


def moderated(kind: Any, content_id: UUID, **more: Any) -> Any:
    return made(kind, BEN, content_id=content_id, post_id=POST, post_author_id=BEN, **more)


PUBLISHED = made(PostPublished, BEN, post_id=POST, content="text", hashtags="", visibility="public")


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        (LIKE, like(ANA, PostUnliked)),
        (like(ANA, PostShared, share_id=SHARE), like(ANA, PostUnshared, share_id=SHARE)),
        (PUBLISHED, made(PostEdited, BEN, post_id=POST, content="other", hashtags="")),
        (PUBLISHED, made(PostDeleted, BEN, post_id=POST)),
        (
            made(CommentAdded, ANA, comment_id=COMMENT, post_id=POST, post_author_id=BEN, content="text"),
            made(CommentDeleted, ANA, comment_id=COMMENT, post_id=POST, post_author_id=BEN),
        ),
        (PUBLISHED, moderated(ContentHidden, POST)),
        (moderated(ContentScored, POST, model="m", score=1), moderated(ContentHidden, POST)),
        (COMMENTED, moderated(ContentHidden, COMMENT)),
        (made(ProfileEdited, ANA), made(UserSuspended, ANA)),
        (made(UserFollowed, ANA, followee_id=BEN), made(FollowApproved, BEN, follower_id=ANA)),
        (made(UserFollowed, ANA, followee_id=BEN), made(UserBlocked, BEN, blocked_id=ANA)),
        (made(UserMuted, ANA, muted_id=BEN), made(UserFollowed, ANA, followee_id=BEN)),
        (made(UserRegistered, ANA, username="ana", display_name="Ana"), made(ProfileEdited, ANA)),
    ],
)
def test_a_later_word_on_the_same_thing_waits(earlier: Any, later: Any) -> None:
    assert set(parking_keys(earlier)) & set(parking_keys(later))


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        (LIKE, like(CEM, reaction="like")),  # of the same post
        (LIKE, like(ANA, PostShared, share_id=SHARE)),
        (LIKE, PUBLISHED),
        (LIKE, made(PostDeleted, BEN, post_id=POST)),
        (PUBLISHED, made(CommentAdded, ANA, comment_id=COMMENT, post_id=POST, post_author_id=BEN, content="text")),
        (made(UserFollowed, ANA, followee_id=BEN), made(UserFollowed, BEN, followee_id=ANA)),
        (made(UserFollowed, ANA, followee_id=BEN), made(UserFollowed, ANA, followee_id=CEM)),
        (LIKE, made(UserErased, ANA)),
        (PUBLISHED, moderated(ContentHidden, COMMENT)),
        (PUBLISHED, made(UserSuspended, BEN)),
    ],
)
def test_all_else_goes_on(earlier: Any, later: Any) -> None:
    assert not set(parking_keys(earlier)) & set(parking_keys(later))
