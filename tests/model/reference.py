"""The whole product, said as sets: given the events, in any order, what must be seen.

There is no folding here and no order: every definition is a comprehension over sets of events, and the only comparison
made is which of two event ids is greater. It answers to docs/semantics.md alone and shares no code with the folds, the
SQL or the Redis functions, so that an error in one is not repeated in the other. It is built once from its events and
keeps indexes; feeds and notification lists are made when asked for.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, NamedTuple
from uuid import UUID

from schemas.types import (
    CommentAdded,
    CommentDeleted,
    CommentEdited,
    ContentRemoved,
    Event,
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
    UserErased,
    UserRegistered,
)
from tests.model.causes import EVENTS_THAT_TELL, Cause, causes_of
from tests.model.home import MICROS_PER_DAY, HomeFeeds, Item
from tests.model.relationships import Relationships
from tests.model.sets import NIL, greatest, grouped, newest, newest_first
from tests.model.trends import Discovery
from tests.model.versions import kept

LIKE_WEIGHT, COMMENT_WEIGHT, SHARE_WEIGHT = 1, 3, 4


class Said(NamedTuple):
    """What somebody last said about one thing, and by which event."""

    event_id: UUID
    value: Any


class Person(NamedTuple):
    """A person who is there: registered and not erased. A field nobody has set is None."""

    registered: UserRegistered
    display_name: Said | None
    bio: Said | None
    avatar_media_id: Said | None
    language: Said | None
    private: Said | None


class Notification(NamedTuple):
    """A notification that is there: its newest cause stands and all it names is there. Silence may yet hide it."""

    id: UUID
    cause: Cause
    read_event: UUID | None
    unread: bool


class Model(Relationships):
    """What the events mean. `events` may come in any order and any of them more than once; see versions.py."""

    def __init__(self, events: Iterable[Event], forgotten_before: int = 0) -> None:
        self.forgotten_before = forgotten_before
        by_type: dict[type[Any], dict[UUID, Any]] = defaultdict(dict)
        for event in events:
            by_type[type(event)][event.event_id] = event
        super().__init__(by_type)
        self.erased = {event.subject_id for event in self._all(UserErased)}
        self.deleted = {event.post_id for event in self._all(PostDeleted)}
        self.persons = self._persons()
        self.posts: dict[UUID, PostPublished] = {
            event.post_id: event
            for event in self._all(PostPublished)
            if event.subject_id in self.persons and event.post_id not in self.deleted
        }
        self.deleted_comments = {event.comment_id for event in self._all(CommentDeleted)}
        # Those that were added, deleted ones too: what answers one hangs on it.
        self.comments: dict[UUID, CommentAdded] = {
            event.comment_id: event
            for event in self._all(CommentAdded)
            if event.subject_id in self.persons and event.post_id in self.posts
        }

    # People

    def _persons(self) -> dict[UUID, Person]:
        edits = list(self._all(ProfileEdited))
        registrations = list(self._all(UserRegistered))

        def said(field: str) -> dict[UUID, Said]:
            sources: list[ProfileEdited | UserRegistered] = [*edits]
            if field == "display_name":
                sources += registrations
            return {
                user_id: Said(event.event_id, getattr(event, field))
                for user_id, event in newest(
                    (event for event in sources if getattr(event, field) is not None), by=lambda event: event.subject_id
                ).items()
            }

        fields = {field: said(field) for field in Person._fields[1:]}
        return {
            event.subject_id: Person(event, **{field: values.get(event.subject_id) for field, values in fields.items()})
            for event in registrations
            if event.subject_id not in self.erased
        }

    def is_private(self, user_id: UUID) -> bool:
        """Whether follows of this person wait for approval, and their posts are for followers at most."""
        person = self.persons.get(user_id)
        return person is not None and person.private is not None and bool(person.private.value)

    # Posts and what hangs on them

    def may_see(self, viewer_id: UUID | None, post: PostPublished) -> bool:
        """Whether the viewer (None: nobody in particular) may see the post, which must be one of `posts`."""
        author_id = post.subject_id
        if self.withheld(viewer_id, post.post_id, author_id) or self.out_of_sight(viewer_id, author_id):
            return False
        if viewer_id == author_id:
            return True
        follower = (viewer_id, author_id) in self.follows
        return {
            "public": not self.is_private(author_id) or follower,
            "followers": follower,
            "private": False,
        }[post.visibility]

    @cached_property
    def posts_by_author(self) -> dict[UUID, set[UUID]]:
        return grouped((post.subject_id, post_id) for post_id, post in self.posts.items())

    @cached_property
    def versions(self) -> dict[UUID, set[PostPublished | PostEdited]]:
        """The events that wrote the text of each post that is there."""
        return grouped(
            (event.post_id, event) for event in self._either(PostPublished, PostEdited) if event.post_id in self.posts
        )

    @cached_property
    def texts(self) -> dict[UUID, PostPublished | PostEdited]:
        """The event that last wrote the text of each post."""
        return newest(self._either(PostPublished, PostEdited), by=lambda event: event.post_id)

    def history(self, post_id: UUID, viewer_id: UUID | None) -> list[UUID]:
        """The ids of a post's versions that can still be read, newest first, for who may see the post."""
        post = self.posts.get(post_id)
        ids = (version.event_id for version in kept(self.versions.get(post_id, ()), self.forgotten_before))
        return newest_first(ids) if post and self.may_see(viewer_id, post) else []

    @cached_property
    def bookmarks(self) -> dict[tuple[UUID, UUID], PostBookmarked | PostUnbookmarked]:
        """The newest word of each (actor, post), the actor not being erased; the post need not be there."""
        return newest(
            (event for event in self._either(PostBookmarked, PostUnbookmarked) if event.subject_id not in self.erased),
            by=lambda event: (event.subject_id, event.post_id),
        )

    def bookmarks_of(self, actor_id: UUID) -> list[UUID]:
        """The posts that somebody keeps, the last kept first."""
        kept = {
            event.event_id: post_id
            for (who, post_id), event in self.bookmarks.items()
            if who == actor_id and isinstance(event, PostBookmarked)
        }
        return [kept[event_id] for event_id in newest_first(kept)]

    @cached_property
    def reactions(self) -> dict[tuple[UUID, UUID], PostLiked]:
        """The active reaction of each (post, actor), the post being there and the actor not erased."""
        words = newest(
            (
                event
                for event in self._either(PostLiked, PostUnliked)
                if event.post_id in self.posts and event.subject_id not in self.erased
            ),
            by=lambda event: (event.post_id, event.subject_id),
        )
        return {pair: event for pair, event in words.items() if isinstance(event, PostLiked)}

    @cached_property
    def _reactors(self) -> dict[UUID, set[tuple[UUID, UUID]]]:
        return grouped((post_id, (event.event_id, who)) for (post_id, who), event in self.reactions.items())

    def likers(self, post_id: UUID, viewer_id: UUID | None) -> list[UUID]:
        """Who reacted to the post, the newest first, without those out of the viewer's sight."""
        actors = {
            event_id: who
            for event_id, who in self._reactors.get(post_id, ())
            if who in self.persons and not self.out_of_sight(viewer_id, who)
        }
        return [actors[event_id] for event_id in newest_first(actors)]

    def profile_visible(self, user_id: UUID, viewer_id: UUID | None) -> bool:
        return user_id in self.persons and not self.out_of_sight(viewer_id, user_id)

    @cached_property
    def withdrawn_reactions(self) -> dict[tuple[UUID, UUID], UUID]:
        """The event that withdrew the reaction of each (post, actor) that has none now."""
        withdrawals = newest(self._all(PostUnliked), by=lambda event: (event.post_id, event.subject_id))
        return {
            pair: event.event_id
            for pair, event in withdrawals.items()
            if pair not in self.reactions and event.post_id in self.posts and event.subject_id not in self.erased
        }

    @cached_property
    def share_words(self) -> dict[tuple[UUID, UUID], PostShared | PostUnshared]:
        """The newest word of each (post, actor), the actor not being erased; the post need not be there."""
        return newest(
            (event for event in self._either(PostShared, PostUnshared) if event.subject_id not in self.erased),
            by=lambda event: (event.post_id, event.subject_id),
        )

    @cached_property
    def shares(self) -> dict[tuple[UUID, UUID], PostShared]:
        """The active share of each (post, actor), the post being there and the actor not erased."""
        return {
            pair: event
            for pair, event in self.share_words.items()
            if isinstance(event, PostShared) and event.post_id in self.posts
        }

    @cached_property
    def share_counts(self) -> Counter[UUID]:
        return Counter(post_id for post_id, _ in self.shares)

    @cached_property
    def shares_by_actor(self) -> dict[UUID, set[Item]]:
        return grouped((event.subject_id, Item(event.share_id, event.post_id)) for event in self.shares.values())

    @cached_property
    def sharers(self) -> dict[UUID, UUID]:
        """Whose each active share is."""
        return {event.share_id: event.subject_id for event in self.shares.values()}

    def shares_of(self, post_id: UUID, viewer_id: UUID | None) -> list[UUID]:
        """Who shares a post and is there for the viewer, the newest share first."""
        found = {
            event.share_id: actor_id
            for (shared_id, actor_id), event in self.shares.items()
            if shared_id == post_id and actor_id in self.persons and not self.out_of_sight(viewer_id, actor_id)
        }
        return [found[share_id] for share_id in newest_first(found)]

    @cached_property
    def counted_comments(self) -> dict[UUID, CommentAdded]:
        """Every comment and reply that counts: not deleted or removed, its post there and its author not erased."""
        return {
            event.comment_id: event
            for event in self._all(CommentAdded)
            if event.post_id in self.posts
            and event.subject_id not in self.erased
            and event.comment_id not in self.deleted_comments
            and not isinstance(self.moderation.get(event.comment_id), ContentRemoved)
        }

    @cached_property
    def likes(self) -> Counter[UUID]:
        return Counter(post_id for post_id, _ in self.reactions)

    @cached_property
    def likes_by_reaction(self) -> Counter[tuple[UUID, str]]:
        return Counter((event.post_id, event.reaction) for event in self.reactions.values())

    @cached_property
    def comment_counts(self) -> Counter[UUID]:
        return Counter(event.post_id for event in self.counted_comments.values())

    @cached_property
    def reply_counts(self) -> Counter[UUID]:
        return Counter(event.parent_id for event in self.counted_comments.values() if event.parent_id is not None)

    @cached_property
    def quote_counts(self) -> Counter[UUID]:
        return Counter(post.quote_of_id for post in self.counted_posts.values() if post.quote_of_id is not None)

    @cached_property
    def counted_posts(self) -> dict[UUID, PostPublished]:
        """Every post that counts: not deleted and its author not erased."""
        return {
            event.post_id: event
            for event in self._all(PostPublished)
            if event.subject_id not in self.erased and event.post_id not in self.deleted
        }

    @cached_property
    def post_counts(self) -> Counter[UUID]:
        return Counter(post.subject_id for post in self.counted_posts.values())

    # Affinity and feeds

    @cached_property
    def feeds(self) -> HomeFeeds:
        """Everybody's home feed."""
        return HomeFeeds(self)

    @cached_property
    def discovery(self) -> Discovery:
        """What is found beyond the home feed."""
        return Discovery(self)

    @cached_property
    def affinity_weights(self) -> dict[tuple[UUID, UUID, int], int]:
        """The weight of each (viewer, author, UTC day as days since 1970), where it is not zero."""
        likes = Counter(
            (event.subject_id, event.post_author_id, event.occurred_at // MICROS_PER_DAY)
            for event in self.reactions.values()
        )
        comments = Counter(
            (event.subject_id, event.post_author_id, event.occurred_at // MICROS_PER_DAY)
            for event in self.counted_comments.values()
        )
        shares = Counter(
            (event.subject_id, event.post_author_id, event.occurred_at // MICROS_PER_DAY)
            for event in self.shares.values()
        )
        return {
            key: likes[key] * LIKE_WEIGHT + comments[key] * COMMENT_WEIGHT + shares[key] * SHARE_WEIGHT
            for key in likes.keys() | comments.keys() | shares.keys()
        }

    def global_feed(self, viewer_id: UUID | None = None) -> list[UUID]:
        """The ids of the public posts of accounts that are not private, newest first, which the viewer may see."""
        return newest_first(
            post_id
            for post_id, post in self.posts.items()
            if post.visibility == "public" and not self.is_private(post.subject_id) and self.may_see(viewer_id, post)
        )

    def posts_of(self, author_id: UUID, viewer_id: UUID | None) -> list[UUID]:
        """The ids of the author's posts that the viewer may see, newest first."""
        return newest_first(
            post_id
            for post_id in self.posts_by_author.get(author_id, set())
            if self.may_see(viewer_id, self.posts[post_id])
        )

    @cached_property
    def comment_events(self) -> dict[UUID, set[CommentAdded | CommentEdited | CommentDeleted]]:
        """All that was ever said of each comment."""
        return grouped(
            (event.comment_id, event)
            for event in (*self._either(CommentAdded, CommentEdited), *self._all(CommentDeleted))
        )

    @cached_property
    def _comments_by_post(self) -> dict[UUID, set[UUID]]:
        return grouped((comment.post_id, comment_id) for comment_id, comment in self.comments.items())

    def comments_under(self, post_id: UUID, viewer_id: UUID | None) -> set[UUID]:
        """The ids of the comments and replies that the viewer reads under a post."""
        return {
            comment_id
            for comment_id in self._comments_by_post.get(post_id, ())
            if not self._is_missing(self.comments[comment_id], viewer_id)
        }

    def removed_under(self, post_id: UUID, viewer_id: UUID | None) -> set[UUID]:
        """The ids of the missing comments that show as removed: something that is read hangs below them."""
        there = {comment_id: self.comments[comment_id] for comment_id in self._comments_by_post.get(post_id, ())}
        missing = {comment_id for comment_id, each in there.items() if self._is_missing(each, viewer_id)}
        return {
            removed for comment_id in there.keys() - missing for removed in _removed_above(comment_id, there, missing)
        }

    def _is_missing(self, comment: CommentAdded, viewer_id: UUID | None) -> bool:
        """Whether nothing of the comment but its place may be shown to the viewer."""
        comment_id, author_id = comment.comment_id, comment.subject_id
        return (
            comment_id in self.deleted_comments
            or self.withheld(viewer_id, comment_id, author_id)
            or self.out_of_sight(viewer_id, author_id)
        )

    # Notifications

    @cached_property
    def causes(self) -> dict[tuple[UUID, UUID, str, UUID], Cause]:
        """The newest cause of each (recipient, actor, verb, target), people and post, if any, being there."""
        return newest(
            (
                cause
                for kind in EVENTS_THAT_TELL
                for event in self._all(kind)
                for cause in causes_of(event)
                if cause.recipient_id in self.persons
                and cause.actor_id in self.persons
                and (cause.post_id is None or cause.post_id in self.posts)
                and cause.target_id not in self.deleted_comments
            ),
            by=lambda cause: (cause.recipient_id, cause.actor_id, cause.verb, cause.target_id),
        )

    @cached_property
    def reads(self) -> dict[tuple[UUID, UUID], UUID]:
        """The newest event by which each (recipient, notification id) was marked as read."""
        return greatest(
            ((event.subject_id, notification_id), event.event_id)
            for event in self._all(NotificationsRead)
            for notification_id in event.notification_ids
        )

    @cached_property
    def read_marks(self) -> dict[UUID, UUID]:
        """Up to which event each person has read everything."""
        return greatest(
            (event.subject_id, event.up_to) for event in self._all(NotificationsRead) if event.up_to is not None
        )

    @cached_property
    def notifications(self) -> dict[UUID, Notification]:
        """Every notification that is there, by id, hidden ones too."""
        return {
            notification_id: Notification(
                notification_id,
                cause,
                read_event := self.reads.get((cause.recipient_id, notification_id)),
                cause.event_id > max(read_event or NIL, self.read_marks.get(cause.recipient_id, NIL)),
            )
            for cause in self.causes.values()
            if cause.active
            for notification_id in [cause.notification_id]
        }

    @cached_property
    def notifications_by_recipient(self) -> dict[UUID, set[UUID]]:
        return grouped(
            (notification.cause.recipient_id, notification.id) for notification in self.notifications.values()
        )

    def notifications_of(self, recipient_id: UUID) -> list[Notification]:
        """What the recipient is shown, newest cause first: nothing about what, or by whom, they may not see."""
        present = (self.notifications[each] for each in self.notifications_by_recipient.get(recipient_id, set()))
        shown = (
            each
            for each in present
            if not self.silenced(each.cause)
            and not self.out_of_sight(recipient_id, each.cause.actor_id)
            # Who tells of a comment wrote it.
            and (
                each.cause.target_type != "comment"
                or not self.withheld(recipient_id, each.cause.target_id, each.cause.actor_id)
            )
        )
        return sorted(
            (
                notification
                for notification in shown
                if notification.cause.post_id is None
                or self.may_see(recipient_id, self.posts[notification.cause.post_id])
            ),
            key=lambda notification: notification.cause.event_id,
            reverse=True,
        )

    def silenced(self, cause: Cause) -> bool:
        """Whether a mute, or a block of either, hides this: of who did it, a block also of whose post it is about."""
        recipient_id, actor_id = cause.recipient_id, cause.actor_id
        if (recipient_id, actor_id) in self.mutes or self.hidden(recipient_id, actor_id):
            return True
        return cause.post_id is not None and self.hidden(recipient_id, self.posts[cause.post_id].subject_id)

    def unread_count(self, recipient_id: UUID) -> int:
        return sum(notification.unread for notification in self.notifications_of(recipient_id))


def _removed_above(comment_id: UUID, there: Mapping[UUID, CommentAdded], missing: set[UUID]) -> Iterator[UUID]:
    """The missing comments between this one and the next above it that stands, or the top."""
    passed: set[UUID] = set()
    parent_id = there[comment_id].parent_id
    while parent_id in there and parent_id in missing and parent_id not in passed:
        yield parent_id
        passed.add(parent_id)
        parent_id = there[parent_id].parent_id
