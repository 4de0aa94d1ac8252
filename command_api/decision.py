"""What every decision is made of: the rows it may see, what it can answer, and how the rows follow an event.

All of it is pure. `decide(command, state)` answers a draft (an event whose id and time are still to come), Unchanged,
or raises one of shared.errors. The shell mints the id when all locks are held and after every id in `state.seen`.
"""

from collections.abc import Callable, Iterable
from typing import TypeVar, assert_never
from uuid import UUID

import msgspec

from command_api.accounts import state as accounts
from command_api.accounts.state import Account
from command_api.notifications import state as notifications
from command_api.notifications.state import ReadMark
from command_api.posts import state as posts
from command_api.posts.state import FOLLOWERS, PUBLIC, Comment, Post
from command_api.reactions import state as reactions
from command_api.reactions.state import Bookmark, Reaction, Share
from command_api.relationships import state as relationships
from command_api.relationships.state import Block, Follow, Mute
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
from shared.errors import Forbidden, NotFound, Unauthenticated
from shared.ids import NIL, time_of

# Pairs of ids: (follower, followee), (who blocks or mutes, whom), or (post, actor).
Pair = tuple[UUID, UUID]
Row = TypeVar("Row", Account, Post, Comment, Follow, Block, Mute, Reaction, Bookmark, Share, ReadMark)
K = TypeVar("K", UUID, Pair)
E = TypeVar("E")
# What a draft has in place of the ids that are minted later.
UNMINTED = NIL
# What ends a post or a person. Edges of it do not touch its row, so that they need not wait for one another; an ending,
# whose lock they all wait for, therefore has to be newer than every event that was committed before it.
ENDINGS = (PostDeleted, UserErased)


class Unchanged(msgspec.Struct, frozen=True):
    """Nothing to do: what the command asks for has been so since `last_event`."""

    last_event: UUID


class Reads(msgspec.Struct, frozen=True, kw_only=True):
    """The rows that a command may look at, so that they are loaded and locked for a whole batch at once.

    The actor's own account is always read, with every comment its post, with every post and comment its author's
    account, the actor's follow of the author where a post is for followers, and the blocks, either way, of the actor
    and everybody else whose account is read.
    """

    actor_id: UUID
    new_account: bool = False  # the actor's row may have to be made
    exclusive: bool = False  # the actor's row is locked against everyone who only looks at it, too
    accounts: tuple[UUID, ...] = ()
    counterparts: tuple[UUID, ...] = ()  # accounts locked as the actor's own: what is decided is in both their rows
    posts: tuple[UUID, ...] = ()
    posts_exclusive: tuple[UUID, ...] = ()
    comments: tuple[UUID, ...] = ()
    comments_exclusive: tuple[UUID, ...] = ()
    follows: tuple[Pair, ...] = ()
    mutes: tuple[Pair, ...] = ()
    reactions: tuple[Pair, ...] = ()
    bookmarks: tuple[Pair, ...] = ()
    shares: tuple[Pair, ...] = ()
    read_mark: bool = False


class Rows(dict[K, Row]):
    """The rows of one guard table by key; `changed` are the keys of those to be written back."""

    def __init__(self) -> None:
        super().__init__()
        self.changed: set[K] = set()

    def change(self, key: K, row: Row) -> None:
        self[key] = row
        self.changed.add(key)

    def evolve(self, key: K, event: E, after: Callable[[Row, E], Row]) -> None:
        """What the event makes of the row, if there is one."""
        if key in self:
            self.change(key, after(self[key], event))


class State:
    """Guard rows by key, as they are when everything decided so far has happened.

    `seen` collects the last events of the rows that were looked at.
    """

    def __init__(self) -> None:
        self.accounts = Rows[UUID, Account]()
        self.posts = Rows[UUID, Post]()
        self.comments = Rows[UUID, Comment]()
        self.follows = Rows[Pair, Follow]()
        self.blocks = Rows[Pair, Block]()
        self.mutes = Rows[Pair, Mute]()
        self.reactions = Rows[Pair, Reaction]()
        self.bookmarks = Rows[Pair, Bookmark]()
        self.shares = Rows[Pair, Share]()
        self.read_marks = Rows[UUID, ReadMark]()
        self.seen: list[UUID] = []

    def account(self, user_id: UUID) -> Account | None:
        return self._looked_at(self.accounts.get(user_id))

    def post(self, post_id: UUID) -> Post | None:
        return self._looked_at(self.posts.get(post_id))

    def comment(self, comment_id: UUID) -> Comment | None:
        return self._looked_at(self.comments.get(comment_id))

    def follow(self, follower_id: UUID, followee_id: UUID) -> Follow | None:
        return self._looked_at(self.follows.get((follower_id, followee_id)))

    def block(self, blocker_id: UUID, blocked_id: UUID) -> Block | None:
        return self._looked_at(self.blocks.get((blocker_id, blocked_id)))

    def mute(self, muter_id: UUID, muted_id: UUID) -> Mute | None:
        return self._looked_at(self.mutes.get((muter_id, muted_id)))

    def reaction(self, post_id: UUID, actor_id: UUID) -> Reaction | None:
        return self._looked_at(self.reactions.get((post_id, actor_id)))

    def bookmark(self, post_id: UUID, actor_id: UUID) -> Bookmark | None:
        return self._looked_at(self.bookmarks.get((post_id, actor_id)))

    def share(self, post_id: UUID, actor_id: UUID) -> Share | None:
        return self._looked_at(self.shares.get((post_id, actor_id)))

    def read_mark(self, user_id: UUID) -> ReadMark | None:
        return self._looked_at(self.read_marks.get(user_id))

    def is_active(self, user_id: UUID) -> bool:
        account = self.account(user_id)
        return account is not None and account.is_active

    def are_apart(self, one_id: UUID, other_id: UUID) -> bool:
        """Whether either blocks the other. Both rows are looked at, so that what is decided is newer than either."""
        blocks = (self.block(one_id, other_id), self.block(other_id, one_id))
        return any(block is not None and block.active for block in blocks)

    def is_visible(self, user_id: UUID, viewer_id: UUID) -> bool:
        """Whether a person is there for the viewer: active, and neither blocks the other."""
        return self.is_active(user_id) and not self.are_apart(user_id, viewer_id)

    def _looked_at(self, row: Row | None) -> Row | None:
        if row is not None:
            self.seen.append(row.last_event)
        return row


def acting(state: State, actor_id: UUID) -> Account:
    """The actor's account. Raises Unauthenticated: a token may outlive its bearer's account."""
    account = state.account(actor_id)
    if account is None or not account.is_active:
        raise Unauthenticated("this account is not active")
    return account


def standing(state: State, post_id: UUID) -> Post:
    """A post that is there, whoever may see it. Raises NotFound when it, or its author, is gone."""
    post = state.post(post_id)
    if post is None or post.deleted or not state.is_active(post.author_id):
        raise NotFound("there is no such post")
    return post


def visible(state: State, post_id: UUID, viewer_id: UUID) -> Post:
    """A post that the viewer may see. Raises NotFound for any other, whether or not it exists.

    A private account's posts are for followers at most, and nothing of a blocked pair is for each other.
    """
    post = standing(state, post_id)
    if post.author_id == viewer_id:
        return post
    if not state.are_apart(post.author_id, viewer_id):
        author = state.account(post.author_id)
        if post.visibility == PUBLIC and author is not None and not author.private:
            return post
        if post.visibility in (PUBLIC, FOLLOWERS):
            follow = state.follow(viewer_id, post.author_id)
            if follow is not None and follow.active:
                return post
    raise NotFound("there is no such post")


def present(state: State, user_id: UUID, viewer_id: UUID) -> Account:
    """Another person whom the viewer may see. Raises NotFound for any other, whether or not they exist."""
    account = state.account(user_id)
    if account is None or not state.is_visible(user_id, viewer_id):
        raise NotFound("there is no such person")
    return account


def pending(state: State, follower_id: UUID, followee_id: UUID) -> Follow:
    """A request to follow that is still to be answered. Raises NotFound, also when the follower is not there."""
    request = state.follow(follower_id, followee_id)
    if request is None or not request.requested or not state.is_visible(follower_id, followee_id):
        raise NotFound("there is no such request")
    return request


def resolved(state: State, actor_id: UUID, people: Iterable[tuple[str, UUID]]) -> dict[str, UUID]:
    """Those of the people whom a text names that its author may mention, by name; other names stay text."""
    return {name: user_id for name, user_id in people if state.is_visible(user_id, actor_id)}


def own_comment(state: State, comment_id: UUID, actor_id: UUID, verb: str) -> tuple[Comment, Post]:
    """A comment of the actor's own, deleted or not, with its post, which stands.

    Raises Forbidden for somebody else's that the actor may see, NotFound for any other.
    """
    comment = state.comment(comment_id)
    if comment is None:
        raise NotFound("there is no such comment")
    if comment.author_id == actor_id:
        return comment, standing(state, comment.post_id)
    visible(state, comment.post_id, actor_id)
    if comment.deleted or not state.is_visible(comment.author_id, actor_id):
        raise NotFound("there is no such comment")
    raise Forbidden(f"only its author may {verb} a comment")


def minted(draft: Event, event_id: UUID) -> Event:
    """The event of a draft, now that its id is known; what it creates has the same id."""
    changes: dict[str, UUID | int] = {"event_id": event_id, "occurred_at": time_of(event_id)}
    if isinstance(draft, PostPublished):
        changes["post_id"] = event_id
    elif isinstance(draft, CommentAdded):
        changes["comment_id"] = event_id
    elif isinstance(draft, PostShared):
        changes["share_id"] = event_id
    return msgspec.structs.replace(draft, **changes)


def evolve(state: State, event: Event) -> None:
    """Brings the rows to what they are after the event."""
    match event:
        case UserRegistered():
            state.accounts.change(event.subject_id, accounts.registered(event))
        case UserErased():
            state.accounts.change(event.subject_id, accounts.erased(event))
        case ProfileEdited():
            state.accounts.evolve(event.subject_id, event, accounts.profile_edited)
        case RoleGranted() | RoleRevoked():
            state.accounts.evolve(event.subject_id, event, accounts.role_set)
        case PostPublished():
            state.posts.change(event.post_id, posts.published(event))
        case PostEdited():
            state.posts.evolve(event.post_id, event, posts.post_edited)
        case PostDeleted():
            state.posts.evolve(event.post_id, event, posts.post_deleted)
        case CommentAdded():
            state.comments.change(event.comment_id, posts.comment_added(event))
        case CommentEdited():
            state.comments.evolve(event.comment_id, event, posts.comment_edited)
        case CommentDeleted():
            state.comments.evolve(event.comment_id, event, posts.comment_deleted)
        case PostLiked():
            state.reactions.change((event.post_id, event.subject_id), reactions.liked(event))
        case PostUnliked():
            state.reactions.change((event.post_id, event.subject_id), reactions.unliked(event))
        case PostBookmarked() | PostUnbookmarked():
            state.bookmarks.change((event.post_id, event.subject_id), reactions.bookmark_set(event))
        case PostShared() | PostUnshared():
            state.shares.change((event.post_id, event.subject_id), reactions.share_set(event))
        case UserFollowed() | UserUnfollowed() | FollowRequested() | FollowApproved() | FollowRejected():
            _set_follow(state, relationships.follow_set(event))
        case UserBlocked():
            state.blocks.change((event.subject_id, event.blocked_id), relationships.block_set(event))
            for follow in relationships.severed(event):
                _set_follow(state, follow)
        case UserUnblocked():
            state.blocks.change((event.subject_id, event.blocked_id), relationships.block_set(event))
        case UserMuted() | UserUnmuted():
            state.mutes.change((event.subject_id, event.muted_id), relationships.mute_set(event))
        case NotificationsRead():
            mark = state.read_marks.get(event.subject_id)
            state.read_marks.change(event.subject_id, notifications.marked(mark, event))
        # No command causes these yet, and no guard row says anything of them.
        case AccountDeactivated() | AccountReactivated() | ErasureRequested() | ErasureCancelled():
            pass
        case UserSuspended() | UserUnsuspended():
            pass
        case ContentHeld() | ContentHidden() | ContentRemoved() | ContentRestored() | ContentScored():
            pass
        case _:
            assert_never(event)


def _set_follow(state: State, follow: Follow) -> None:
    state.follows.change((follow.follower_id, follow.followee_id), follow)


def state_of(events: Iterable[Event]) -> State:
    """The rows after these events, in order."""
    state = State()
    for event in events:
        evolve(state, event)
    return state
