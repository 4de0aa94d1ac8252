"""What stands in a home feed, under one name wherever it is kept: a post itself, or somebody's share of one.

An item's time is in its id, and that is all by which items are ordered.
"""

from typing import NamedTuple
from uuid import UUID

ID_DIGITS = 32


class FeedItem(NamedTuple):
    """`item_id` is the post's own id, or the share's."""

    item_id: UUID
    post_id: UUID

    @classmethod
    def of_post(cls, post_id: UUID) -> "FeedItem":
        return cls(post_id, post_id)

    @classmethod
    def of_member(cls, member: str) -> "FeedItem":
        """From what `member` answers. Raises ValueError for any other text."""
        item, _, post = member.partition(".")
        return cls(_id(item), _id(post or item))

    @property
    def member(self) -> str:
        """The item in a feed's sorted set: 32 hex digits of a post, or of a share with a dot and those of its post."""
        item = self.item_id.hex
        return item if self.post_id == self.item_id else f"{item}.{self.post_id.hex}"


class FeedMember(NamedTuple):
    """An item as its set holds it, by hex digits: what reads it by the hundred makes no UUIDs of what it does not show.

    Digits are in the order of their ids.
    """

    item_id: str
    post_id: str

    @classmethod
    def of_member(cls, member: str) -> "FeedMember":
        # A post's member begins and ends with the same digits, which are then one string.
        return cls(member[:ID_DIGITS], member[-ID_DIGITS:])


def _id(text: str) -> UUID:
    return UUID(int=int(text, 16))
