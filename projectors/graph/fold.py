"""Who follows whom: an edge per pair, as its newest follow or unfollow left it, and both people's counts."""

from collections.abc import Sequence
from pathlib import Path
from typing import assert_never

from projectors.runtime.changes import Changes, Count, CountTable, Table
from projectors.runtime.projection import PostgresProjection
from schemas.types import (
    CommentAdded,
    CommentDeleted,
    CommentEdited,
    Event,
    NotificationsRead,
    PostBookmarked,
    PostDeleted,
    PostEdited,
    PostLiked,
    PostPublished,
    PostUnbookmarked,
    PostUnliked,
    ProfileEdited,
    UserErased,
    UserFollowed,
    UserRegistered,
    UserUnfollowed,
)

FOLLOW = Table(
    name="follow",
    key={"follower_id": "uuid", "followee_id": "uuid"},
    groups={"edge": {"active": "boolean", "since": "timestamptz"}},
    whose={
        "follower_id": "follower_id",
        "followee_id": "followee_id",
        "active": "follower_id",
        "since": "follower_id",
        "edge_event": "follower_id",
    },
    erased_with=("follower_id", "followee_id"),
    counted="active",
    counts=(
        Count(into="person_count", column="followers", by={"user_id": "followee_id"}),
        Count(into="person_count", column="following", by={"user_id": "follower_id"}),
    ),
)

PERSON_COUNT = CountTable(
    name="person_count",
    key={"user_id": "uuid"},
    columns=("followers", "following"),
    whose={"user_id": "user_id", "followers": "user_id", "following": "user_id"},
    erased_with=("user_id",),
)


def fold(events: Sequence[Event]) -> Changes:
    changes = Changes()
    for event in events:
        match event:
            case UserFollowed():
                key = (event.subject_id, event.followee_id)
                changes.set(FOLLOW, key, "edge", event.event_id, (True, event.occurred_at))
            case UserUnfollowed():
                key = (event.subject_id, event.followee_id)
                changes.set(FOLLOW, key, "edge", event.event_id, (False, event.occurred_at))
            case UserErased():
                changes.erase(event.subject_id, event.event_id)
            case UserRegistered() | ProfileEdited() | NotificationsRead():
                pass
            case PostPublished() | PostEdited() | PostDeleted() | CommentAdded() | CommentEdited() | CommentDeleted():
                pass
            case PostLiked() | PostUnliked() | PostBookmarked() | PostUnbookmarked():
                pass
            case _:
                assert_never(event)
    return changes


PROJECTION = PostgresProjection(
    name="graph",
    topics=("graph", "accounts"),
    tables=(FOLLOW,),
    fold=fold,
    tables_sql=Path(__file__).with_name("tables.sql"),
    count_tables=(PERSON_COUNT,),
)
