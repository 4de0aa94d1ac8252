"""Who may see a post, and whose home feed it belongs to: pure, from facts that the hydrating statement brings."""

from typing import Protocol
from uuid import UUID

# Ids of one kind or the other: UUIDs, or hex digits where there are hundreds (feed/placing.py).
Id = UUID | str
PUBLIC, FOLLOWERS = "public", "followers"
HELD, HIDDEN, REMOVED = "held", "hidden", "removed"  # by moderators; hidden: from all but the author


class PostFacts(Protocol):
    """What the rules need to know of a post; whoever wrote it is not erased and it is not deleted.

    `hidden`: the viewer or the author blocks the other. `muted`: the viewer mutes the author. `author_away`: the author
    is deactivated, suspended or waiting to be erased. `moderation`: what moderators made of the post, if anything.
    """

    @property
    def author_id(self) -> Id: ...
    @property
    def visibility(self) -> str: ...
    @property
    def author_private(self) -> bool: ...
    @property
    def follows_author(self) -> bool: ...
    @property
    def hidden(self) -> bool: ...
    @property
    def muted(self) -> bool: ...
    @property
    def reply_to_id(self) -> Id | None: ...
    @property
    def reply_to_author_id(self) -> Id | None: ...
    @property
    def follows_replied_to(self) -> bool: ...
    @property
    def moderation(self) -> str | None: ...
    @property
    def author_away(self) -> bool: ...


def effective_visibility(post: PostFacts) -> str:
    """A private account's posts are `followers` at most."""
    return FOLLOWERS if post.visibility == PUBLIC and post.author_private else post.visibility


def may_see(post: PostFacts, viewer_id: Id | None) -> bool:
    """`public`: everyone not blocked. `followers`: the author and active followers. Anything else: the author.

    What moderators hide, and what somebody away wrote, only the author sees; what is held or removed, nobody.
    """
    if post.moderation in (HELD, REMOVED):
        return False
    if viewer_id is not None and post.author_id == viewer_id:
        return True
    if post.hidden or post.author_away or post.moderation == HIDDEN:
        return False
    visibility = effective_visibility(post)
    return visibility == PUBLIC or (visibility == FOLLOWERS and post.follows_author)


def is_public_item(post: PostFacts, viewer_id: UUID | None) -> bool:
    """What the global feed shows: a private account's post is not public, not even for its followers."""
    return effective_visibility(post) == PUBLIC and may_see(post, viewer_id)


def is_home_item(post: PostFacts, viewer_id: Id) -> bool:
    """A post by V or by one V follows and does not mute, that V may see; a reply only if V follows, or is, the author
    replied to."""
    if post.author_id != viewer_id and not post.follows_author:
        return False
    if post.reply_to_id is not None and post.reply_to_author_id != viewer_id and not post.follows_replied_to:
        return False
    return not post.muted and may_see(post, viewer_id)
