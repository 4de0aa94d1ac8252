"""Home feeds, said as sets: which items one has, at which of them a post stands, and how they are ranked."""

import math
from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from schemas.types import PostPublished
from tests.model.sets import greatest, grouped

if TYPE_CHECKING:
    from tests.model.reference import Model

MICROS_PER_HOUR = 3_600_000_000
MICROS_PER_DAY = 24 * MICROS_PER_HOUR
HALF_LIFE_DAYS = 14
RANKED_ITEMS_MAX = 400


class Item(NamedTuple):
    """What can stand in a home feed, at the time in `item_id`: a post, or a share of it."""

    item_id: UUID
    post_id: UUID


class Ranked(NamedTuple):
    """One item of a ranked feed with its factors; a higher score comes first, and of equal ones the newer item."""

    score: float
    item: Item
    engagement: float
    affinity: float


class HomeFeeds:
    """The home feeds of everybody in a model."""

    def __init__(self, model: "Model") -> None:
        self.model = model

    @cached_property
    def _weights_by_pair(self) -> dict[tuple[UUID, UUID], set[tuple[int, int]]]:
        return grouped(
            ((viewer_id, author_id), (day, weight))
            for (viewer_id, author_id, day), weight in self.model.affinity_weights.items()
        )

    def affinity(self, viewer_id: UUID, author_id: UUID, at: int) -> float:
        """How close the viewer is to the author at `at` (microseconds since 1970), from 1 to 2."""
        if viewer_id == author_id:
            return 1.0
        today = at // MICROS_PER_DAY
        total = math.fsum(
            weight * 2 ** (-max(0, today - day) / HALF_LIFE_DAYS)
            for day, weight in self._weights_by_pair.get((viewer_id, author_id), set())
        )
        return 1 + min(1.0, math.log(1 + total) / 4)

    def is_home_item(self, viewer_id: UUID, post: PostPublished) -> bool:
        """Whether the post by itself, and not by a share, is an item of the viewer's home feed."""
        following = self.model.following.get(viewer_id, set())
        return (
            (post.subject_id == viewer_id or post.subject_id in following)
            and (
                post.reply_to_id is None or post.reply_to_author_id == viewer_id or post.reply_to_author_id in following
            )
            and self._is_shown(viewer_id, post)
        )

    def _is_shown(self, viewer_id: UUID, post: PostPublished) -> bool:
        return (viewer_id, post.subject_id) not in self.model.mutes and self.model.may_see(viewer_id, post)

    def home_items(self, viewer_id: UUID) -> set[Item]:
        """Every item that could stand in the viewer's home feed; a post may have several."""
        if viewer_id not in self.model.persons:
            return set()
        following = self.model.following.get(viewer_id, set())
        posts = {
            Item(post_id, post_id)
            for author_id in {viewer_id} | following
            for post_id in self.model.posts_by_author.get(author_id, set())
            if self.is_home_item(viewer_id, self.model.posts[post_id])
        }
        shares = {
            item
            for sharer_id in (following & self.model.persons.keys()) - self.model.away
            if (viewer_id, sharer_id) not in self.model.mutes
            for item in self.model.shares_by_actor.get(sharer_id, set())
            if self._is_shown(viewer_id, self.model.posts[item.post_id])
        }
        return posts | shares

    def home(self, viewer_id: UUID) -> list[Item]:
        """The viewer's whole home feed, newest first: each post once, at its newest item."""
        items = self.home_items(viewer_id)
        newest_of = greatest((item.post_id, item.item_id) for item in items)
        return sorted((item for item in items if item.item_id == newest_of[item.post_id]), reverse=True)

    def ranked(self, viewer_id: UUID, at: int, items_max: int = RANKED_ITEMS_MAX) -> list[Ranked]:
        """The newest 400 items of the home feed, in ranked order at `at` (microseconds since 1970)."""
        return self.in_order(viewer_id, self.home(viewer_id)[:items_max], at)

    def in_order(self, viewer_id: UUID, items: Iterable[Item], at: int) -> list[Ranked]:
        """These items of the home feed in ranked order at `at`."""
        ranked = [self.ranked_item(viewer_id, item, at) for item in items]
        return sorted(ranked, key=lambda each: (each.score, each.item.item_id.int), reverse=True)

    def ranked_item(self, viewer_id: UUID, item: Item, at: int) -> Ranked:
        """One item with its factors as they are at `at`: its post's age, author and counts."""
        post = self.model.posts[item.post_id]
        reactions = self.model.likes[post.post_id] + 2.5 * self.model.comment_counts[post.post_id]
        engagement = reactions + 3 * self.model.share_counts[post.post_id] + 1
        age_hours = max(0.0, (at - post.occurred_at) / MICROS_PER_HOUR)
        affinity = self.affinity(viewer_id, post.subject_id, at)
        kept = 1 - self.model.moderation_score(post.post_id)
        return Ranked(engagement / (age_hours + 2) ** 1.8 * affinity * kept, item, engagement, affinity)

    def ranked_home(self, viewer_id: UUID, at: int, items_max: int = RANKED_ITEMS_MAX) -> list[Item]:
        """The whole ranked feed: the newest 400 items by score, then what is older by recency."""
        return [ranked.item for ranked in self.ranked(viewer_id, at, items_max)] + self.home(viewer_id)[items_max:]
