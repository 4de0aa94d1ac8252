"""Histories of a small society, as hypothesis draws them, and the ways in which its events may be delivered.

Each event is well formed (it names the true author of a post, nobody follows or blocks themselves, nobody shares a
post twice at once, an edit names as new whom nothing earlier mentioned, a deleted comment is neither edited nor older
than its text), as commands see to that. All else is adversarial. Blocked pairs follow, requests that nobody made are
approved. People, posts and comments come from small pools known beforehand, so that a like may be older than its
post, a deletion older than the publication, an erasure anywhere, and a person may never register at all. A delivery
is any order of the events with any of them again, cut anywhere into batches: more than Kafka could ever do.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import msgspec
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

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
from shared.ids import mint, time_of
from tests.model.causes import causes_of

PEOPLE = 5
REACTIONS = ("like", "love", "laugh")
BEGIN = 1_790_000_000_000_000  # September 2026, in microseconds
STEPS = (1, 1_000, 3_600_000_000, 3 * 86_400_000_000)  # a microsecond, a millisecond, an hour, three days
persons = st.integers(0, PEOPLE - 1)
someone_or_none = st.none() | st.integers(0, 9)
mentions = st.lists(persons, max_size=2, unique=True)
Action = tuple[Any, ...]

# What one person does about another: the event, and how it names the other.
RELATING: dict[str, tuple[type[Any], str]] = {
    "follow": (UserFollowed, "followee_id"),
    "unfollow": (UserUnfollowed, "followee_id"),
    "request": (FollowRequested, "followee_id"),
    "approve": (FollowApproved, "follower_id"),
    "reject": (FollowRejected, "follower_id"),
    "block": (UserBlocked, "blocked_id"),
    "unblock": (UserUnblocked, "blocked_id"),
    "mute": (UserMuted, "muted_id"),
    "unmute": (UserUnmuted, "muted_id"),
}

# What makes somebody be away, and what brings them back.
LEAVING: dict[str, type[Any]] = {
    "deactivate": AccountDeactivated,
    "reactivate": AccountReactivated,
    "suspend": UserSuspended,
    "unsuspend": UserUnsuspended,
    "ask erasure": ErasureRequested,
    "stay": ErasureCancelled,
}

# What moderators, and models, do about a post or a comment.
MODERATING: dict[str, type[Any]] = {
    "hold": ContentHeld,
    "hide": ContentHidden,
    "remove": ContentRemoved,
    "restore": ContentRestored,
    "score": ContentScored,
}

ACTIONS: dict[str, st.SearchStrategy[Any]] = {
    "edit": st.tuples(
        persons, st.none() | st.sampled_from(["Ana", "Ben"]), st.none() | st.just("bio"), st.none() | st.booleans()
    ),
    **dict.fromkeys(RELATING, st.tuples(persons, persons)),
    "publish": st.tuples(
        persons, st.sampled_from(["public", "followers", "private"]), someone_or_none, someone_or_none, mentions
    ),
    "delete": st.tuples(st.integers(0, 9)),
    "comment": st.tuples(persons, st.integers(0, 9), someone_or_none, mentions),
    "rewrite": st.tuples(st.integers(0, 9), mentions),
    "reword": st.tuples(st.integers(0, 9), mentions),
    "withdraw": st.tuples(st.integers(0, 9)),
    "like": st.tuples(persons, st.integers(0, 9), st.sampled_from(REACTIONS)),
    "unlike": st.tuples(persons, st.integers(0, 9)),
    "keep": st.tuples(persons, st.integers(0, 9)),
    "let go": st.tuples(persons, st.integers(0, 9)),
    "share": st.tuples(persons, st.integers(0, 9)),
    "unshare": st.tuples(persons, st.integers(0, 9)),
    "read": st.tuples(persons, st.lists(st.integers(0, 30), max_size=3), someone_or_none),
    **dict.fromkeys(LEAVING, st.tuples(persons)),
    **dict.fromkeys(MODERATING, st.tuples(st.booleans(), st.integers(0, 9))),
    "erase": st.tuples(persons),
}  # fmt: skip


def _actions(*verbs: str) -> st.SearchStrategy[Action]:
    return st.one_of(*(st.tuples(st.just(verb), ACTIONS[verb], st.sampled_from(STEPS)) for verb in verbs))


# All of these together a few times as often as any other, since what is hidden says little; mapped, so that they stay
# one of the strategies that they are drawn with.
HIDING = (*LEAVING, *MODERATING)
hiding = _actions(*HIDING).map(tuple)

# A few posts first, so that there is something to act upon; what follows may refer to posts that come still later.
scripts = st.builds(
    lambda posts, rest: posts + rest,
    st.lists(_actions("publish"), min_size=2, max_size=4),
    st.lists(
        _actions(
            *(verb for verb in ACTIONS if verb not in HIDING),
            "follow",
            "follow",
            "unfollow",
            "like",
            "like",
            "unlike",
            "comment",
            "comment",
            "withdraw",
            "share",
            "share",
        )
        | hiding
        | hiding
        | hiding
        | hiding,
        min_size=8,
        max_size=48,
    ),
)


@dataclass
class _Scene:
    """The pools that events draw from: their ids are known before any event happens."""

    people: list[UUID]
    ids: list[UUID]  # one for each action
    posts: list[tuple[UUID, UUID]]  # post, author
    comments: list[tuple[UUID, UUID, UUID]]  # comment, author, post
    events: list[Event] = field(default_factory=list)
    mentioned: dict[UUID, set[UUID]] = field(default_factory=lambda: defaultdict(set))  # by post or comment, so far

    def post(self, index: int | None) -> tuple[UUID, UUID] | tuple[None, None]:
        return (None, None) if index is None or not self.posts else self.posts[index % len(self.posts)]


def person_id(index: int, begin: int = BEGIN) -> UUID:
    """The id of a person of the pool, the same in every history that begins then."""
    return mint(begin + index, random=index.to_bytes(8, "big"))


def society(registered: Sequence[bool], script: Sequence[Action], begin: int = BEGIN) -> list[Event]:
    """The events of these actions, in the order of their ids; as many people as `registered` says something of."""
    people = [person_id(index, begin) for index in range(len(registered))]
    now, ids = begin + 1_000_000, []
    for index, (_, _, step) in enumerate(script):
        now += step
        ids.append(mint(now, random=(index * 7919 % 251).to_bytes(8, "big")))
    posts = [
        (identifier, people[arguments[0]])
        for identifier, (verb, arguments, _) in zip(ids, script, strict=True)
        if verb == "publish"
    ]
    comments = [
        (identifier, people[arguments[0]], posts[arguments[1] % len(posts)][0])
        for identifier, (verb, arguments, _) in zip(ids, script, strict=True)
        if verb == "comment" and posts
    ]
    scene = _Scene(people, ids, posts, comments)
    for index, (user_id, there) in enumerate(zip(people, registered, strict=True)):
        if there:
            event_id = mint(begin + 1_000 + index, random=bytes(8))
            scene.events.append(
                UserRegistered(
                    event_id=event_id, occurred_at=time_of(event_id), subject_id=user_id,
                    username=f"person_{index}", display_name=f"Person {index}",
                )
            )  # fmt: skip
    for identifier, (verb, arguments, _) in zip(ids, script, strict=True):
        event = _event(scene, identifier, verb, arguments)
        if event is not None:
            scene.events.append(event)
            if isinstance(event, PostPublished | PostEdited):
                scene.mentioned[event.post_id].update(event.mentioned_ids)
            elif isinstance(event, CommentAdded | CommentEdited):
                scene.mentioned[event.comment_id].update(event.mentioned_ids)
    return _with_parents(scene.events)


def _event(scene: _Scene, identifier: UUID, verb: str, arguments: Action) -> Event | None:
    """What one action leads to; None where there is nothing to act upon."""
    head: dict[str, Any] = {"event_id": identifier, "occurred_at": time_of(identifier)}
    people = scene.people
    match verb, arguments:
        case "edit", (who, name, bio, private):
            return ProfileEdited(**head, subject_id=people[who], display_name=name, bio=bio, private=private)
        case (_, (who, whom)) if verb in RELATING:
            return None if who == whom else _relation(scene, head, verb, people[who], people[whom])
        case (_, (who,)) if verb in LEAVING:
            more = {"erase_after": head["occurred_at"] + 30 * 86_400_000_000} if verb == "ask erasure" else {}
            made: Event = LEAVING[verb](**head, subject_id=people[who], **more)
            return made
        case (_, (is_post, which)) if verb in MODERATING:
            return _moderation(scene, head, verb, is_post, which)
        case "publish", (who, visibility, reply_to, quote_of, mentioned):
            return _post(scene, head, who, visibility, reply_to, quote_of, mentioned)
        case "comment", (who, post, parent, mentioned):
            return _comment(scene, head, who, post, parent, mentioned)
        case "rewrite", (post, mentioned):
            return _post_edit(scene, head, post, mentioned)
        case ("reword", (comment, mentioned)):
            return _comment_edit(scene, head, comment, mentioned)
        case "withdraw", (comment,):
            return _comment_deletion(scene, head, comment)
        case (("share" | "unshare"), (who, post)):
            return _share(scene, head, verb, people[who], post)
        case "read", (who, which, up_to):
            return _read(scene, head, who, which, up_to)
        case "erase", (who,):
            return UserErased(**head, subject_id=people[who])
        case ("delete", (post,)) | ("like", (_, post, _)) | (("unlike" | "keep" | "let go"), (_, post)):
            post_id, author_id = scene.post(post)
            if post_id is None or author_id is None:
                return None
            if verb == "delete":
                return PostDeleted(**head, subject_id=author_id, post_id=post_id)
            edge = {**head, "subject_id": people[arguments[0]], "post_id": post_id, "post_author_id": author_id}
            if verb == "like":
                return PostLiked(**edge, reaction=arguments[2])
            if verb == "unlike":
                return PostUnliked(**edge)
            return PostBookmarked(**edge) if verb == "keep" else PostUnbookmarked(**edge)
    return None


def _relation(scene: _Scene, head: dict[str, Any], verb: str, who: UUID, whom: UUID) -> Event:
    kind, names = RELATING[verb]
    more = {"severed_follower_ids": _severed(scene, who, whom)} if kind is UserBlocked else {}
    made: Event = kind(**head, subject_id=who, **{names: whom}, **more)
    return made


def _with_parents(events: list[Event]) -> list[Event]:
    """What moderators do to a comment names the one that it answers, also where the comment comes later."""
    parents = {event.comment_id: event.parent_id for event in events if isinstance(event, CommentAdded)}
    decided = (ContentHeld, ContentHidden, ContentRemoved, ContentRestored)
    return [
        msgspec.structs.replace(event, parent_id=parents.get(event.content_id)) if isinstance(event, decided) else event
        for event in events
    ]


def _moderation(scene: _Scene, head: dict[str, Any], verb: str, is_post: bool, which: int) -> Event | None:
    """What is done about one of the posts, or of the comments, which may be still to come."""
    authors = dict(scene.posts)
    if not (authors if is_post else scene.comments):
        return None
    if is_post:
        post_id, author_id = scene.posts[which % len(scene.posts)]
        content_id = post_id
    else:
        content_id, author_id, post_id = scene.comments[which % len(scene.comments)]
    about = {"subject_id": author_id, "content_id": content_id, "post_id": post_id, "post_author_id": authors[post_id]}
    more = {"model": "test-1", "score": 1_000_000 * (which + 1) // 11} if verb == "score" else {}
    made: Event = MODERATING[verb](**head, **about, **more)
    return made


def _severed(scene: _Scene, one: UUID, other: UUID) -> tuple[UUID, ...]:
    """Who of the two follows, or has asked to follow, the other, as far as the events go so far."""
    asked: dict[UUID, bool] = {}
    for event in scene.events:
        match event:
            case UserFollowed() | FollowRequested() | UserUnfollowed():
                if {event.subject_id, event.followee_id} == {one, other}:
                    asked[event.subject_id] = not isinstance(event, UserUnfollowed)
            case FollowApproved() | FollowRejected():
                if {event.subject_id, event.follower_id} == {one, other}:
                    asked[event.follower_id] = isinstance(event, FollowApproved)
            case UserBlocked():
                if {event.subject_id, event.blocked_id} == {one, other}:
                    asked = {}
    return tuple(sorted(who for who, asks in asked.items() if asks))


def _post(
    scene: _Scene,
    head: dict[str, Any],
    who: int,
    visibility: str,
    reply: int | None,
    quote: int | None,
    mentioned: list[int],
) -> PostPublished:
    reply_to_id, reply_to_author_id = scene.post(reply)
    quote_of_id, quote_of_author_id = scene.post(quote)
    if reply_to_id == head["event_id"]:
        reply_to_id = reply_to_author_id = None
    if quote_of_id == head["event_id"]:
        quote_of_id = quote_of_author_id = None
    return PostPublished(
        **head, subject_id=scene.people[who], post_id=head["event_id"], content=f"text {head['event_id']}",
        hashtags="one two" if mentioned else "", visibility=visibility, language=None, reply_to_id=reply_to_id,
        reply_to_author_id=reply_to_author_id, quote_of_id=quote_of_id, quote_of_author_id=quote_of_author_id,
        mentioned_ids=tuple(scene.people[index] for index in mentioned),
    )  # fmt: skip


def _comment(
    scene: _Scene, head: dict[str, Any], who: int, post: int, parent: int | None, mentioned: list[int]
) -> CommentAdded | None:
    post_id, author_id = scene.post(post)
    if post_id is None or author_id is None:
        return None
    siblings = [known for known in scene.comments if known[2] == post_id and known[0] != head["event_id"]]
    parent_id, parent_author_id = (None, None)
    if parent is not None and siblings:
        parent_id, parent_author_id, _ = siblings[parent % len(siblings)]
    return CommentAdded(
        **head, subject_id=scene.people[who], comment_id=head["event_id"], post_id=post_id, post_author_id=author_id,
        parent_id=parent_id, parent_author_id=parent_author_id, content=f"comment {head['event_id']}",
        mentioned_ids=tuple(scene.people[index] for index in mentioned),
    )  # fmt: skip


def _post_edit(scene: _Scene, head: dict[str, Any], post: int, mentioned: list[int]) -> PostEdited | None:
    """Another text; it may be older than the first one."""
    post_id, author_id = scene.post(post)
    if post_id is None or author_id is None:
        return None
    mentioned_ids = tuple(scene.people[index] for index in mentioned)
    return PostEdited(
        **head, subject_id=author_id, post_id=post_id, content=f"other text {head['event_id']}",
        hashtags="three" if mentioned else "", mentioned_ids=mentioned_ids,
        newly_mentioned_ids=tuple(each for each in mentioned_ids if each not in scene.mentioned[post_id]),
    )  # fmt: skip


def _standing_comment(scene: _Scene, comment: int) -> tuple[UUID, UUID, UUID] | None:
    """One of the comments that were added and not deleted so far."""
    deleted = {event.comment_id for event in scene.events if isinstance(event, CommentDeleted)}
    added = {event.comment_id for event in scene.events if isinstance(event, CommentAdded)}
    standing = [known for known in scene.comments if known[0] in added - deleted]
    return standing[comment % len(standing)] if standing else None


def _comment_edit(scene: _Scene, head: dict[str, Any], comment: int, mentioned: list[int]) -> CommentEdited | None:
    found = _standing_comment(scene, comment)
    if found is None:
        return None
    comment_id, author_id, post_id = found
    added = next(event for event in scene.events if isinstance(event, CommentAdded) and event.comment_id == comment_id)
    mentioned_ids = tuple(scene.people[index] for index in mentioned)
    return CommentEdited(
        **head, subject_id=author_id, comment_id=comment_id, post_id=post_id, post_author_id=added.post_author_id,
        content=f"other {head['event_id']}", mentioned_ids=mentioned_ids,
        newly_mentioned_ids=tuple(each for each in mentioned_ids if each not in scene.mentioned[comment_id]),
    )  # fmt: skip


def _comment_deletion(scene: _Scene, head: dict[str, Any], comment: int) -> CommentDeleted | None:
    found = _standing_comment(scene, comment)
    if found is None:
        return None
    added = next(event for event in scene.events if isinstance(event, CommentAdded) and event.comment_id == found[0])
    return CommentDeleted(
        **head, subject_id=added.subject_id, comment_id=added.comment_id, post_id=added.post_id,
        post_author_id=added.post_author_id, parent_id=added.parent_id, parent_author_id=added.parent_author_id,
        mentioned_ids=tuple(sorted(scene.mentioned[added.comment_id])),
    )  # fmt: skip


def _share(
    scene: _Scene, head: dict[str, Any], verb: str, actor_id: UUID, post: int
) -> PostShared | PostUnshared | None:
    """A share where none stands so far, or the end of the one that does."""
    post_id, author_id = scene.post(post)
    if post_id is None or author_id is None:
        return None
    of = {**head, "subject_id": actor_id, "post_id": post_id, "post_author_id": author_id}
    words = [
        event
        for event in scene.events
        if isinstance(event, PostShared | PostUnshared) and (event.subject_id, event.post_id) == (actor_id, post_id)
    ]
    if words and isinstance(words[-1], PostShared):
        return PostUnshared(**of, share_id=words[-1].share_id) if verb == "unshare" else None
    return PostShared(**of, share_id=head["event_id"]) if verb == "share" else None


def _read(scene: _Scene, head: dict[str, Any], who: int, which: list[int], up_to: int | None) -> NotificationsRead:
    """Marks some of the reader's notifications so far, or everything up to some action, or both."""
    reader = scene.people[who]
    known = [
        cause.notification_id for event in scene.events for cause in causes_of(event) if cause.recipient_id == reader
    ]
    return NotificationsRead(
        **head, subject_id=reader,
        notification_ids=tuple(sorted({known[index % len(known)] for index in which})) if known else (),
        up_to=None if up_to is None else scene.ids[up_to % len(scene.ids)],
    )  # fmt: skip


histories = st.builds(
    society, st.lists(st.sampled_from([True] * 7 + [False]), min_size=PEOPLE, max_size=PEOPLE), scripts
)


@st.composite
def deliveries(draw: DrawFn, events: Sequence[Event]) -> list[list[Event]]:
    """The events in some order, some of them again, cut into batches."""
    again = draw(st.lists(st.sampled_from(events), max_size=8)) if events else []
    order = draw(st.permutations([*events, *again]))
    cuts = sorted(draw(st.lists(st.integers(0, len(order)), max_size=6)))
    return [list(order[begin:end]) for begin, end in zip([0, *cuts], [*cuts, len(order)], strict=True) if begin < end]


@st.composite
def delivered_histories(draw: DrawFn) -> tuple[list[Event], list[list[Event]]]:
    """A history and one delivery of it."""
    events = draw(histories)
    return events, draw(deliveries(events))
