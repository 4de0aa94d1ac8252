"""Whom an event tells what: one notification per (recipient, actor, verb, target), there while its cause stands.

And of whom nobody tells them: the people that a recipient has muted, or that a block of either hides.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, assert_never
from uuid import UUID, uuid5

from projectors.runtime.changes import Changes, Table
from projectors.runtime.projection import PostgresProjection
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

# Clients keep notifications' ids, so this never changes.
NAMESPACE = UUID("5f0f5c1e-7c33-5d0c-9b0a-6b1f0d3b9a51")

# The recipient is in the key because anybody can compute the id: a read mark that names somebody else's notification
# then falls on a row of the reader's own, which shows nothing. `post_author_id` is set where the post is a third
# person's: a block between them and the recipient hides it too.
NOTIFICATION = Table(
    name="notification",
    key={"recipient_id": "uuid", "id": "uuid"},
    groups={
        "cause": {
            "actor_id": "uuid",
            "verb": "text",
            "target_type": "text",
            "target_id": "uuid",
            "post_id": "uuid",
            "post_author_id": "uuid",
            "data": "jsonb",
            "active": "boolean",
            "caused_at": "timestamptz",
        },
        "read": {},
    },
    whose={
        "recipient_id": "recipient_id",
        "id": "recipient_id",
        "actor_id": "actor_id",
        "verb": "actor_id",
        "target_type": "actor_id",
        "target_id": "actor_id",
        "post_id": "actor_id",
        "post_author_id": "post_author_id",
        "data": "actor_id",
        "active": "actor_id",
        "caused_at": "actor_id",
        "cause_event": "actor_id",
        "read_event": "recipient_id",
    },
    erased_with=("recipient_id", "actor_id", "post_author_id"),
    gone_with=("post_id",),
    counted="active",  # no count is kept of it; told_by_changes.sql asks what it was before
    partly_named=("id", "actor_id", "post_id", "post_author_id"),  # a read mark names its reader alone
)

# `mark_event` is not the event that set the mark but the one up to which all is read: the furthest mark wins.
READ_MARK = Table(
    name="read_mark",
    key={"recipient_id": "uuid"},
    groups={"mark": {}},
    whose={"recipient_id": "recipient_id", "mark_event": "recipient_id"},
    erased_with=("recipient_id",),
)

# Whom the recipient hears nothing of, and why. What those people caused stays in `notification`, since it is there
# again when the silence ends.
SILENCE = Table(
    name="silence",
    key={"recipient_id": "uuid", "actor_id": "uuid"},
    groups={"block": {"blocks": "boolean"}, "blocked_by": {"blocked_by": "boolean"}, "mute": {"mutes": "boolean"}},
    whose={
        "recipient_id": "recipient_id",
        "actor_id": "actor_id",
        "blocks": "recipient_id",
        "block_event": "recipient_id",
        "blocked_by": "actor_id",
        "blocked_by_event": "actor_id",
        "mutes": "recipient_id",
        "mute_event": "recipient_id",
    },
    erased_with=("recipient_id", "actor_id"),
    counted="blocks or blocked_by or mutes",
    remembered=("blocks", "blocked_by"),  # a mute hides what the muted do, a block also what others do at their posts
)

Cause = (
    UserFollowed
    | UserUnfollowed
    | FollowRequested
    | FollowApproved
    | FollowRejected
    | UserBlocked
    | PostLiked
    | PostUnliked
    | PostShared
    | PostUnshared
    | PostPublished
    | PostEdited
    | CommentAdded
    | CommentEdited
    | CommentDeleted
)


class Told(NamedTuple):
    """One person told one thing. `post_id` is the post without which there is nothing to tell, by `post_author_id`,
    where that may be somebody else than the two."""

    recipient_id: UUID
    verb: str
    target_type: str
    target_id: UUID
    post_id: UUID | None
    post_author_id: UUID | None = None


# What an unfollow or a block leaves of all that was ever told about a follow.
NOTHING_STANDS = {"follow": False, "follow_request": False, "follow_approved": False}


def fold(events: Sequence[Event]) -> Changes:
    changes = Changes()
    for event in events:
        match event:
            case UserFollowed():
                _follow(changes, event, (event.subject_id, event.followee_id), follow=True, follow_request=False)
            case UserUnfollowed():
                _follow(changes, event, (event.subject_id, event.followee_id), **NOTHING_STANDS)
            case FollowRequested():
                _follow(changes, event, (event.subject_id, event.followee_id), follow_request=True)
            case FollowApproved():
                pair = (event.follower_id, event.subject_id)
                _follow(changes, event, pair, follow_request=False, follow_approved=True)
            case FollowRejected():
                _follow(changes, event, (event.follower_id, event.subject_id), follow_request=False)
            case UserBlocked():
                _follow(changes, event, (event.subject_id, event.blocked_id), **NOTHING_STANDS)
                _follow(changes, event, (event.blocked_id, event.subject_id), **NOTHING_STANDS)
                _block(changes, event, True)
            case UserUnblocked():
                _block(changes, event, False)
            case UserMuted() | UserUnmuted():
                mutes = isinstance(event, UserMuted)
                changes.set(SILENCE, (event.subject_id, event.muted_id), "mute", event.event_id, (mutes,))
            case PostLiked():
                _cause(changes, event, True, {"reaction": event.reaction}, [_liked(event)])
            case PostUnliked():
                _cause(changes, event, False, {}, [_liked(event)])
            case PostShared() | PostUnshared():
                _cause(changes, event, isinstance(event, PostShared), {}, [_shared(event)])
            case CommentAdded():
                _cause(changes, event, True, {}, _told_by_comment(event))
            case CommentEdited():
                about = ("comment", event.comment_id, event.post_id, event.post_author_id)
                _cause(changes, event, True, {}, _mentioned(event.newly_mentioned_ids, *about))
            case CommentDeleted():
                _withdraw(changes, event)
            case PostPublished():
                _cause(changes, event, True, {}, _told_by_post(event))
            case PostEdited():
                mentioned = _mentioned(event.newly_mentioned_ids, "post", event.post_id, event.post_id)
                _cause(changes, event, True, {}, mentioned)
            case NotificationsRead():
                _read(changes, event)
            case PostDeleted():
                changes.remove(event.post_id, event.event_id)
            case UserErased():
                changes.erase(event.subject_id, event.event_id)
            case UserRegistered() | ProfileEdited() | PostBookmarked() | PostUnbookmarked():
                pass
            case RoleGranted() | RoleRevoked():
                pass
            case AccountDeactivated() | AccountReactivated() | ErasureRequested() | ErasureCancelled():
                pass
            case UserSuspended() | UserUnsuspended():
                pass
            case ContentHeld() | ContentHidden() | ContentRemoved() | ContentRestored() | ContentScored():
                pass
            case _:
                assert_never(event)
    return changes


def notification_id(recipient_id: UUID, actor_id: UUID, verb: str, target_id: UUID) -> UUID:
    """The id of the one notification by which `recipient_id` learns this."""
    return uuid5(NAMESPACE, f"{recipient_id.hex}:{actor_id.hex}:{verb}:{target_id.hex}")


def _liked(event: PostLiked | PostUnliked) -> Told:
    return Told(event.post_author_id, "like", "post", event.post_id, event.post_id)


def _shared(event: PostShared | PostUnshared) -> Told:
    return Told(event.post_author_id, "share", "post", event.post_id, event.post_id)


def _told_by_comment(event: CommentAdded | CommentDeleted) -> Iterator[Told]:
    """The parent's author, the post's author, the people mentioned: whom several name gets the first."""
    about = ("comment", event.comment_id, event.post_id, event.post_author_id)
    if event.parent_author_id is not None:
        yield Told(event.parent_author_id, "reply", *about)
    yield Told(event.post_author_id, "comment", *about)
    yield from _mentioned(event.mentioned_ids, *about)


def _told_by_post(event: PostPublished) -> Iterator[Told]:
    """The author answered, the author quoted, the people mentioned, in this precedence."""
    if event.reply_to_author_id is not None:
        yield Told(event.reply_to_author_id, "reply", "post", event.post_id, event.post_id)
    if event.quote_of_author_id is not None:
        yield Told(event.quote_of_author_id, "quote", "post", event.post_id, event.post_id)
    yield from _mentioned(event.mentioned_ids, "post", event.post_id, event.post_id)


def _mentioned(
    user_ids: Sequence[UUID], target_type: str, target_id: UUID, post_id: UUID, post_author_id: UUID | None = None
) -> Iterator[Told]:
    for user_id in user_ids:
        yield Told(user_id, "mention", target_type, target_id, post_id, post_author_id)


def _cause(
    changes: Changes,
    event: Cause,
    active: bool,
    data: dict[str, str],
    told: Iterator[Told] | Sequence[Told],
) -> None:
    """Tells each person at most one thing, the first in `told`, and the actor nothing."""
    done = {event.subject_id}
    for each in told:
        if each.recipient_id not in done:
            done.add(each.recipient_id)
            _tell(changes, event, active, data, each)


def _withdraw(changes: Changes, event: CommentDeleted) -> None:
    """Takes back whatever anybody was told of the comment, by its first version or by an edit of it.

    One person may have been told two things, of an answer and later of a mention, so that none is left out here.
    """
    for told in _told_by_comment(event):
        if told.recipient_id != event.subject_id:
            _tell(changes, event, False, {}, told)


def _follow(changes: Changes, event: Cause, pair: tuple[UUID, UUID], **stands: bool) -> None:
    """What the (follower, followee) are told of the follow and of the request for it, verb by verb.

    Of an approval the follower is told, by the followee; of all else the followee, by the follower. What an event does
    not speak of it leaves as it is, so that each verb's newest word is the same in whatever order they come.
    """
    follower_id, followee_id = pair
    for verb, active in stands.items():
        recipient_id, actor_id = (follower_id, followee_id) if verb == "follow_approved" else (followee_id, follower_id)
        _tell(changes, event, active, {}, Told(recipient_id, verb, "user", followee_id, None), actor_id)


def _block(changes: Changes, event: UserBlocked | UserUnblocked, blocks: bool) -> None:
    changes.set(SILENCE, (event.subject_id, event.blocked_id), "block", event.event_id, (blocks,))
    changes.set(SILENCE, (event.blocked_id, event.subject_id), "blocked_by", event.event_id, (blocks,))


def _tell(
    changes: Changes, event: Cause, active: bool, data: dict[str, str], told: Told, actor_id: UUID | None = None
) -> None:
    """`actor_id` is whose doing it is, where that is not who caused the event."""
    recipient_id, verb, target_type, target_id, post_id, post_author_id = told
    actor_id = actor_id or event.subject_id
    third = None if post_author_id in (recipient_id, actor_id) else post_author_id
    identifier = notification_id(recipient_id, actor_id, verb, target_id)
    values = (actor_id, verb, target_type, target_id, post_id, third, data, active, event.occurred_at)
    changes.set(NOTIFICATION, (recipient_id, identifier), "cause", event.event_id, values)


def _read(changes: Changes, event: NotificationsRead) -> None:
    for identifier in event.notification_ids:
        changes.set(NOTIFICATION, (event.subject_id, identifier), "read", event.event_id)
    if event.up_to is not None:
        changes.set(READ_MARK, (event.subject_id,), "mark", event.up_to)


def _sql(*names: str) -> str:
    return "".join(Path(__file__).with_name(name).read_text() for name in names)


PROJECTION = PostgresProjection(
    name="notifications",
    topics=("engagement", "posts", "graph", "notifications", "accounts"),
    tables=(NOTIFICATION, READ_MARK, SILENCE),
    fold=fold,
    tables_sql=Path(__file__).with_name("tables.sql"),
    effects=_sql("told_by_changes.sql", "frames.sql"),
    sweep_effects=_sql("told_by_sweeps.sql", "frames.sql"),
    computes_with_ids=True,  # a notification's id is computed
)
