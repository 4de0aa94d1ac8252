"""At which item a post stands in a home feed: pure, from facts that the hydrating statement brings."""

from typing import NamedTuple, Protocol, TypeVar
from uuid import UUID

from query_api.posts.rules import PostFacts, is_home_item, may_see

Id = TypeVar("Id", UUID, str)
IdShown = TypeVar("IdShown", UUID, str, covariant=True)


class HomeFacts(PostFacts, Protocol[IdShown]):
    """What the rules need to know of a post with its shares."""

    @property
    def post_id(self) -> IdShown: ...


class Shown(NamedTuple):
    """Whether a post is an item of V's feed itself, and whether a share of it would be one."""

    itself: bool
    shared: bool

    def standing(self, post_id: Id, share_id: Id | None) -> Id | None:
        """The newest of the post and the share, as far as they are items; None when neither is."""
        if not self.shared or share_id is None:
            return post_id if self.itself else None
        return max(post_id, share_id) if self.itself else share_id


def shown_to(post: PostFacts, viewer_id: UUID | str) -> Shown:
    """Whoever shares a reply brings it, whomever it answers."""
    return Shown(is_home_item(post, viewer_id), may_see(post, viewer_id) and not post.muted)


def standing_item(post: HomeFacts[Id], viewer_id: Id, share_id: Id | None) -> Id | None:
    """The newest of the post itself and of its shares, as far as they are items of V's feed; None when none is.

    `share_id` is the newest share by those V follows.
    """
    return shown_to(post, viewer_id).standing(post.post_id, share_id)
