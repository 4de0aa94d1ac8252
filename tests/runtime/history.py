"""Random histories of posts, comments and likes, and the counts that they must lead to, recounted without any fold."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from schemas.types import (
    CommentAdded,
    CommentDeleted,
    Event,
    PostDeleted,
    PostLiked,
    PostPublished,
    PostUnliked,
    UserErased,
)
from shared.ids import day_of, time_of
from tests.runtime.engine import Engine, Ids


class Town:
    """People who post, quote, comment, like, and think better of it."""

    def __init__(self, ids: Ids, people: int) -> None:
        self.ids = ids
        self.people = ids.many(people)
        self.authors: dict[UUID, UUID] = {}
        self.comments: list[CommentAdded] = []

    def events(self, number: int) -> Iterator[Event]:
        """That many events, newest last."""
        for _ in range(number):
            yield self._event()

    def _event(self) -> Event:
        random = self.ids.random
        actor = random.choice(self.people)
        kind = random.random()
        event_id = self.ids()
        common: dict[str, Any] = {"event_id": event_id, "occurred_at": time_of(event_id), "subject_id": actor}
        posts = list(self.authors) if len(self.authors) < 20 else self._some(list(self.authors))
        if kind < 0.1 or not posts:
            quoted = random.choice([None, *posts])
            self.authors[event_id] = actor
            return PostPublished(
                **common,
                post_id=event_id,
                content="text",
                hashtags="",
                visibility="public",
                quote_of_id=quoted,
                quote_of_author_id=None if quoted is None else self.authors[quoted],
            )
        post = random.choice(posts)
        about = {**common, "post_id": post, "post_author_id": self.authors[post]}
        if kind < 0.11:
            return PostDeleted(**common, post_id=post)
        if kind < 0.25:
            parents = [comment.comment_id for comment in self.comments[-200:] if comment.post_id == post]
            added = CommentAdded(
                **about, comment_id=event_id, parent_id=random.choice([None, *parents]), content="text"
            )
            self.comments.append(added)
            return added
        if kind < 0.27 and self.comments:
            return self._deletion(common, random.choice(self.comments))
        if kind < 0.4:
            return PostUnliked(**about)
        return PostLiked(**about, reaction=random.choice(["like", "love"]))

    def _deletion(self, common: dict[str, Any], comment: CommentAdded) -> CommentDeleted:
        return CommentDeleted(
            **common | {"subject_id": comment.subject_id},
            comment_id=comment.comment_id,
            post_id=comment.post_id,
            post_author_id=comment.post_author_id,
            parent_id=comment.parent_id,
        )

    def _some(self, posts: list[UUID]) -> list[UUID]:
        return [self.ids.random.choice(posts[:10]), self.ids.random.choice(posts)]


@dataclass
class Counts:
    """What the counters must hold; zeros left out."""

    likes: Counter[Any] = field(default_factory=Counter)
    comments: Counter[Any] = field(default_factory=Counter)
    quotes: Counter[Any] = field(default_factory=Counter)
    replies: Counter[Any] = field(default_factory=Counter)
    posts: Counter[Any] = field(default_factory=Counter)
    reactions: Counter[Any] = field(default_factory=Counter)
    affinity: Counter[Any] = field(default_factory=Counter)


def recounted(events: Iterable[Event]) -> Counts:
    """The counts of docs/semantics.md over a set of events: sets and newest edges, nothing incremental."""
    everything = list({event.event_id: event for event in events}.values())
    erased = {event.subject_id for event in everything if isinstance(event, UserErased)}
    gone = {event.post_id for event in everything if isinstance(event, PostDeleted)}
    withdrawn = {event.comment_id for event in everything if isinstance(event, CommentDeleted)}
    edges: dict[tuple[UUID, UUID], PostLiked | PostUnliked] = {}
    counts = Counts()
    for event in sorted(everything, key=lambda each: each.event_id):
        if event.subject_id in erased:
            continue
        day = day_of(event.occurred_at)
        if isinstance(event, PostLiked | PostUnliked):
            edges[event.post_id, event.subject_id] = event
        elif isinstance(event, PostPublished) and event.post_id not in gone:
            counts.posts[event.subject_id] += 1
            if event.quote_of_id is not None and event.quote_of_id not in gone:
                counts.quotes[event.quote_of_id] += 1
        elif isinstance(event, CommentAdded) and not (
            event.comment_id in withdrawn or event.post_id in gone or event.post_author_id in erased
        ):
            counts.comments[event.post_id] += 1
            counts.affinity[event.subject_id, event.post_author_id, day] += 3
            if event.parent_id is not None:
                counts.replies[event.parent_id] += 1
    for (post, actor), edge in edges.items():
        if isinstance(edge, PostLiked) and post not in gone and edge.post_author_id not in erased:
            counts.likes[post] += 1
            counts.reactions[post, edge.reaction] += 1
            counts.affinity[actor, edge.post_author_id, day_of(edge.occurred_at)] += 1
    return counts


def counted(engine: Engine) -> Counts:
    """What the counters hold."""

    def counter(query: str) -> Counter[Any]:
        return Counter({row[:-1] if len(row) > 2 else row[0]: row[-1] for row in engine.rows(query) if row[-1] != 0})

    return Counts(
        likes=counter("select post_id, likes from counters.post_count"),
        comments=counter("select post_id, comments from counters.post_count"),
        quotes=counter("select post_id, quotes from counters.post_count"),
        replies=counter("select comment_id, replies from counters.comment_count"),
        posts=counter("select user_id, posts from counters.person_count"),
        reactions=counter("select post_id, reaction, n from counters.reaction_count"),
        affinity=counter("select viewer_id, author_id, day, weight from counters.affinity"),
    )
