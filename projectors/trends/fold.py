"""What events say of trends: who uses which hashtag in public, who engages with which post, and when each did so."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple, assert_never
from uuid import UUID

import msgspec

from projectors.runtime.projection import RedisProjection
from schemas.types import (
    AccountDeactivated,
    AccountReactivated,
    CommentAdded,
    CommentDeleted,
    CommentEdited,
    ContentHeld,
    ContentHidden,
    ContentRemoved,
    ContentRestored,
    ContentScored,
    ErasureCancelled,
    ErasureRequested,
    Event,
    FollowApproved,
    FollowRejected,
    FollowRequested,
    NotificationsRead,
    PostBookmarked,
    PostDeleted,
    PostEdited,
    PostLiked,
    PostPublished,
    PostShared,
    PostUnbookmarked,
    PostUnliked,
    PostUnshared,
    ProfileEdited,
    RoleGranted,
    RoleRevoked,
    UserBlocked,
    UserErased,
    UserFollowed,
    UserMuted,
    UserRegistered,
    UserSuspended,
    UserUnblocked,
    UserUnfollowed,
    UserUnmuted,
    UserUnsuspended,
)
from shared.ids import time_of

Kind = Literal["like", "comment", "share"]
LOG_HOURS = 50  # what is read counts for 48; the rest is for records that were appended late


class Edge(NamedTuple):
    """One engagement with a post; `edge_id` is the person of a like or share, and the comment itself."""

    kind: Kind
    post_id: UUID
    edge_id: UUID


class Word(NamedTuple):
    """What was last said of something. The greater event is the newer one."""

    event_id: UUID
    value: str


@dataclass
class TrendChanges:
    """The newest word on each thing, so that neither the order of the events nor a redelivery matters."""

    posts: dict[UUID, dict[str, Word]] = field(
        default_factory=dict
    )  # whose it is, whether public, withheld, its hashtags
    edges: dict[Edge, tuple[UUID, int, UUID, bool]] = field(default_factory=dict)  # event, time, person, stands
    people: dict[UUID, dict[str, Word]] = field(default_factory=dict)  # whether somebody's posts are hidden, and why
    removed: dict[Edge, Word] = field(default_factory=dict)  # whether moderators took a comment away
    gone: dict[UUID, UUID] = field(default_factory=dict)  # posts that were deleted
    erased: dict[UUID, UUID] = field(default_factory=dict)  # people whose uses and engagement leave


def fold(events: Sequence[Event]) -> TrendChanges:
    changes = TrendChanges()
    for event in events:
        match event:
            case PostPublished():
                _say(changes.posts, event.post_id, "public", event.event_id, _flag(event.visibility == "public"))
                _write(changes, event)
            case PostEdited():
                _write(changes, event)
            case PostDeleted():
                changes.gone[event.post_id] = event.event_id
            case PostLiked() | PostUnliked():
                _engage(changes, Edge("like", event.post_id, event.subject_id), event, isinstance(event, PostLiked))
            case PostShared() | PostUnshared():
                _engage(changes, Edge("share", event.post_id, event.subject_id), event, isinstance(event, PostShared))
            case CommentAdded() | CommentDeleted():
                edge = Edge("comment", event.post_id, event.comment_id)
                _engage(changes, edge, event, isinstance(event, CommentAdded))
            case ProfileEdited():
                if event.private is not None:
                    _say(changes.people, event.subject_id, "private", event.event_id, _flag(event.private))
            case AccountDeactivated() | AccountReactivated():
                deactivated = _flag(isinstance(event, AccountDeactivated))
                _say(changes.people, event.subject_id, "deactivated", event.event_id, deactivated)
            case UserSuspended() | UserUnsuspended():
                suspended = _flag(isinstance(event, UserSuspended))
                _say(changes.people, event.subject_id, "suspended", event.event_id, suspended)
            case ErasureRequested() | ErasureCancelled():
                leaving = _flag(isinstance(event, ErasureRequested))
                _say(changes.people, event.subject_id, "leaving", event.event_id, leaving)
            case ContentHeld() | ContentHidden() | ContentRemoved() | ContentRestored():
                _moderate(changes, event)
            case UserErased():
                changes.erased[event.subject_id] = event.event_id
            case UserRegistered() | NotificationsRead() | CommentEdited() | ContentScored():
                pass
            case PostBookmarked() | PostUnbookmarked():
                pass
            case UserFollowed() | UserUnfollowed() | FollowRequested() | FollowApproved() | FollowRejected():
                pass
            case UserBlocked() | UserUnblocked() | UserMuted() | UserUnmuted():
                pass
            case RoleGranted() | RoleRevoked():
                pass
            case _:
                assert_never(event)
    return changes


def _flag(on: bool) -> str:
    return "1" if on else "0"


def _say(of: dict[UUID, dict[str, Word]], about: UUID, group: str, event_id: UUID, value: str) -> None:
    words = of.setdefault(about, {})
    known = words.get(group)
    if known is None or event_id > known.event_id:
        words[group] = Word(event_id, value)


def _write(changes: TrendChanges, event: PostPublished | PostEdited) -> None:
    """A text that can no longer be read has no hashtags: its author is being erased."""
    _say(changes.posts, event.post_id, "author", event.event_id, event.subject_id.hex)
    hashtags = " ".join(sorted(set((event.hashtags or "").split())))
    _say(changes.posts, event.post_id, "hashtags", event.event_id, hashtags)


def _engage(
    changes: TrendChanges,
    edge: Edge,
    event: PostLiked | PostUnliked | PostShared | PostUnshared | CommentAdded | CommentDeleted,
    stands: bool,
) -> None:
    known = changes.edges.get(edge)
    if known is None or event.event_id > known[0]:
        changes.edges[edge] = (event.event_id, event.occurred_at, event.subject_id, stands)


def _moderate(changes: TrendChanges, event: ContentHeld | ContentHidden | ContentRemoved | ContentRestored) -> None:
    """A post that is withheld in any way gives no hashtags; a comment counts unless it is removed."""
    if event.content_id == event.post_id:
        withheld = _flag(not isinstance(event, ContentRestored))
        _say(changes.posts, event.post_id, "author", event.event_id, event.subject_id.hex)
        _say(changes.posts, event.post_id, "withheld", event.event_id, withheld)
        return
    edge = Edge("comment", event.post_id, event.content_id)
    known = changes.removed.get(edge)
    if known is None or event.event_id > known.event_id:
        changes.removed[edge] = Word(event.event_id, _flag(isinstance(event, ContentRemoved)))


def pack(changes: TrendChanges) -> bytes:
    """The changes as trends_apply takes them."""

    def words(of: dict[UUID, dict[str, Word]]) -> dict[str, dict[str, str]]:
        return {
            about.hex: {group: word.event_id.hex + word.value for group, word in each.items()}
            for about, each in of.items()
        }

    heard = [word.event_id for of in (changes.posts, changes.people) for each in of.values() for word in each.values()]
    heard += [event_id for event_id, *_ in changes.edges.values()]
    heard += [word.event_id for word in changes.removed.values()]
    heard += [*changes.gone.values(), *changes.erased.values()]
    return msgspec.msgpack.encode(
        {
            "posts": words(changes.posts),
            "edges": [
                (edge.kind, edge.post_id.hex, edge.edge_id.hex, person.hex, moment, stands)
                for edge, (_, moment, person, stands) in changes.edges.items()
            ],
            "people": words(changes.people),
            "removed": [
                (edge.post_id.hex, edge.edge_id.hex, word.event_id.hex + word.value)
                for edge, word in changes.removed.items()
            ],
            "gone": [post_id.hex for post_id in changes.gone],
            "erased": [user_id.hex for user_id in changes.erased],
            "newest": max(map(time_of, heard), default=0),
        }
    )


PROJECTION = RedisProjection(
    name="trends",
    topics=("posts", "engagement", "moderation", "accounts"),
    fold=fold,
    functions_lua=Path(__file__).with_name("functions.lua"),
    reads_text=True,
    one_shard="trends",
    pack=pack,
    log_hours=LOG_HOURS,
    whole_topics=("moderation", "accounts"),
)
