"""What trends, what there is to explore, and what a search finds, said as sets."""

import math
import re
from collections import Counter
from functools import cached_property
from typing import TYPE_CHECKING
from uuid import UUID

from tests.model.home import MICROS_PER_DAY, MICROS_PER_HOUR, RANKED_ITEMS_MAX, Item
from tests.model.sets import newest_first

if TYPE_CHECKING:
    from tests.model.reference import Model

HOURS = 48
EXPLORED_DAYS = 7
LIKE, COMMENT, SHARE = 1, 3, 4
WORD = re.compile(r"\w+")
MENTION = re.compile(r"<@[0-9a-f-]{36}>")


class Discovery:
    """What somebody finds beyond their home feed, in a model."""

    def __init__(self, model: "Model") -> None:
        self.model = model

    @cached_property
    def _hashtags(self) -> dict[UUID, set[str]]:
        """The hashtags of every post that is there."""
        return {post_id: set((self.model.texts[post_id].hashtags or "").split()) for post_id in self.model.posts}

    @cached_property
    def hashtags(self) -> list[str]:
        """All that public posts have, those of most posts first."""
        counts = Counter(each for post_id in self.model.global_feed() for each in self._hashtags[post_id])
        return sorted(counts, key=lambda each: (-counts[each], each))

    @cached_property
    def words(self) -> list[str]:
        """All words of texts that are letters alone, those of most posts first."""
        counts = Counter(word for words in self._words.values() for word in words if word.isascii() and word.isalpha())
        return sorted(counts, key=lambda each: (-counts[each], each))

    @cached_property
    def uses(self) -> set[tuple[str, UUID, int]]:
        """(hashtag, author, hour) of every public post; an author counts once an hour."""
        return {
            (hashtag, self.model.posts[post_id].subject_id, self.model.posts[post_id].occurred_at // MICROS_PER_HOUR)
            for post_id in self.model.global_feed()
            for hashtag in self._hashtags[post_id]
        }

    @cached_property
    def weights(self) -> Counter[tuple[UUID, int]]:
        """The weight of what was made of each post in each hour."""
        found: Counter[tuple[UUID, int]] = Counter()
        for weight, events in (
            (LIKE, self.model.reactions), (COMMENT, self.model.counted_comments), (SHARE, self.model.shares),
        ):  # fmt: skip
            for event in events.values():
                found[event.post_id, event.occurred_at // MICROS_PER_HOUR] += weight
        return found

    def trending_hashtags(self, at: int) -> list[tuple[str, float]]:
        """Hashtags with their scores at `at` (microseconds since 1970), highest first, then in alphabetical order."""
        sizes = Counter((hashtag, hour) for hashtag, _, hour in self.uses)
        scores = _scores(sizes, at)
        return sorted(scores.items(), key=lambda each: (-each[1], each[0]))

    def scored_posts(self, at: int) -> dict[UUID, float]:
        """The scores at `at` of all posts that are there."""
        return {post_id: score for post_id, score in _scores(self.weights, at).items() if post_id in self.model.posts}

    def trending_posts(self, viewer_id: UUID | None, at: int) -> list[tuple[UUID, float]]:
        """The posts that the viewer may see with their scores at `at`, highest first, then newest first."""
        seen = {
            post_id: score
            for post_id, score in self.scored_posts(at).items()
            if self.model.may_see(viewer_id, self.model.posts[post_id])
        }
        return sorted(seen.items(), key=lambda each: (each[1], each[0].int), reverse=True)

    def tagged(self, hashtag: str, viewer_id: UUID | None) -> list[UUID]:
        """Public posts with the hashtag, newest first."""
        return [post_id for post_id in self.model.global_feed(viewer_id) if hashtag in self._hashtags[post_id]]

    def explore(self, viewer_id: UUID | None, at: int, hashtag: str | None = None) -> list[UUID]:
        """The newest 400 posts of seven days by people whom the viewer neither follows nor mutes, best first."""
        model = self.model
        newest = [
            post_id
            for post_id in model.global_feed(viewer_id)
            for author_id in [model.posts[post_id].subject_id]
            if model.posts[post_id].occurred_at >= at - EXPLORED_DAYS * MICROS_PER_DAY
            and (hashtag is None or hashtag in self._hashtags[post_id])
            and author_id != viewer_id
            and (viewer_id, author_id) not in model.follows
            and not {(viewer_id, author_id), (author_id, viewer_id)} & model.mutes
        ][:RANKED_ITEMS_MAX]

        def score(post_id: UUID) -> tuple[float, int]:
            # With the author's own eyes affinity is 1.
            own = model.feeds.ranked_item(model.posts[post_id].subject_id, Item(post_id, post_id), at)
            return (own.score, post_id.int)

        return sorted(newest, key=score, reverse=True)

    @cached_property
    def _words(self) -> dict[UUID, set[str]]:
        """The words of every post's text, but for whom it mentions."""
        return {
            post_id: set(WORD.findall(MENTION.sub(" ", self.model.texts[post_id].content or "").lower()))
            for post_id in self.model.posts
        }

    def posts_with(self, words: set[str], viewer_id: UUID | None) -> list[UUID]:
        """Posts with all of these words that the viewer may see, newest first."""
        return newest_first(
            post_id
            for post_id, post in self.model.posts.items()
            if words <= self._words[post_id] and self.model.may_see(viewer_id, post)
        )

    def people_with(self, part: str, viewer_id: UUID | None) -> list[UUID]:
        """People by a part of a name, of at least three characters; of less, by its beginning. Lower-case."""

        def matches(name: str) -> bool:
            return part in name if len(part) >= 3 else name.startswith(part)

        def place(username: str) -> int:
            return 0 if username == part else 1 if username.startswith(part) else 2

        found = {
            person.registered.username or "": user_id
            for user_id, person in self.model.persons.items()
            if not self.model.out_of_sight(viewer_id, user_id)
            and any(
                matches(name or "")
                for name in (
                    person.registered.username,
                    (person.display_name.value if person.display_name else "").lower(),
                )
            )
        }
        return [found[username] for username in sorted(found, key=lambda name: (place(name), name))]


def _scores(sizes: "Counter[tuple[str, int]] | Counter[tuple[UUID, int]]", at: int) -> dict:  # type: ignore[type-arg]
    """Of each name Σ size · 2^(−hours/6) over the last 48 hours, where it is not zero."""
    terms: dict[object, list[float]] = {}
    for (name, hour), size in sizes.items():
        hours = at // MICROS_PER_HOUR - hour
        if 0 <= hours < HOURS:
            terms.setdefault(name, []).append(size * 2 ** (-hours / 6))
    return {name: math.fsum(each) for name, each in terms.items()}
