"""At which item a post stands in a home feed: pure, from facts that the hydrating statement brings."""

from typing import Protocol
from uuid import UUID

from query_api.posts.rules import PostFacts, is_home_item, may_see


class HomeFacts(PostFacts, Protocol):
    """What the rules need to know of a post with its shares."""

    @property
    def post_id(self) -> UUID: ...


def standing_item(post: HomeFacts, viewer_id: UUID, share_id: UUID | None) -> UUID | None:
    """The newest of the post itself and of its shares, as far as they are items of V's feed; None when none is.

    `share_id` is the newest share by those V follows. Whoever shares a reply brings it, whomever it answers.
    """
    shared = share_id if may_see(post, viewer_id) and not post.muted else None
    own = post.post_id if is_home_item(post, viewer_id) else None
    return max((each for each in (own, shared) if each is not None), default=None)
