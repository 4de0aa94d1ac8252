"""What readers find beyond their home feed is what the model says: explore, hashtags, trends and searches."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from query_api.feed.explore import explore_ids, tagged_ids
from query_api.feed.matching import MatchingSkeleton, Query
from query_api.feed.queries import home_recent_ids
from query_api.posts.queries import hydrate
from query_api.posts.rules import is_public_item, may_see
from query_api.search.queries import BEGINNING, found_people, found_post_ids
from query_api.trends.queries import trending_hashtags, trending_posts
from tests.model.feeds import first_difference
from tests.model.home import RANKED_ITEMS_MAX
from tests.model.matching import Matching
from tests.model.reference import Model
from tests.model.tables import Difference

READERS_ASKED_MAX = 50
LOOKED_FOR_MAX = 2  # in each reader's home feed: so many words, and one name
TRENDS_ASKED_MAX, HASHTAGS_ASKED_MAX, WORDS_ASKED_MAX, NAMES_ASKED_MAX = 100, 5, 5, 3
LISTED_MAX = 1_000


def compare_findings(model: Model, readers: Sequence[UUID], at: int) -> tuple[dict[str, int], list[Difference]]:
    """What these readers, and whoever is nobody here, find at `at` (microseconds since 1970)."""
    compared: Counter[str] = Counter()
    differences = []
    hashtags, _ = trending_hashtags(at, TRENDS_ASKED_MAX, anew=True)
    trending = model.discovery.trending_hashtags(at)[:TRENDS_ASKED_MAX]
    found: list[tuple[str, UUID | None, Any, Any]] = [
        ("trends.hashtags", None, trending, [(each.name, each.score) for each in hashtags])
    ]
    found += [
        (name, viewer_id, expected, answered)
        for viewer_id in (None, *readers[:READERS_ASKED_MAX])
        for name, expected, answered in _found_by(model, viewer_id, at)
    ]
    # Whoever is away has no home feed to look in.
    found += [
        ("feed.matching", viewer_id, expected, answered)
        for viewer_id in readers[:READERS_ASKED_MAX]
        if viewer_id not in model.away
        for expected, answered in _found_at_home(model, viewer_id)
    ]
    for name, viewer_id, expected, answered in found:
        compared[name] += 1
        if expected != answered:
            differences.append(first_difference(name, viewer_id, expected, answered))
    return compared, differences


def _found_by(model: Model, viewer_id: UUID | None, at: int) -> Iterator[tuple[str, Any, Any]]:
    discovery = model.discovery
    posts, _ = trending_posts(viewer_id, at, TRENDS_ASKED_MAX, anew=True)
    trending = discovery.trending_posts(viewer_id, at)[:TRENDS_ASKED_MAX]
    yield "trends.posts", trending, [(row.post_id, score) for row, score in posts]
    yield "feed.explore", discovery.explore(viewer_id, at), explore_ids(viewer_id, None, at)
    for hashtag in discovery.hashtags[:HASHTAGS_ASKED_MAX]:
        yield "feed.explore", discovery.explore(viewer_id, at, hashtag), explore_ids(viewer_id, hashtag, at)
        ids = tagged_ids(hashtag, None, LISTED_MAX)
        there = hydrate(ids, viewer_id)
        shown = [each for each in ids if each in there and is_public_item(there[each], viewer_id)]
        yield "feed.hashtag", _of(discovery.tagged(hashtag, viewer_id), ids), shown
    for word in discovery.words[:WORDS_ASKED_MAX]:
        ids = found_post_ids(word, None, LISTED_MAX)
        there = hydrate(ids, viewer_id)
        seen = [each for each in ids if each in there and may_see(there[each], viewer_id)]
        yield "search.posts", _of(discovery.posts_with({word}, viewer_id), ids), seen
    for user_id in sorted(model.persons)[:NAMES_ASKED_MAX]:
        name = (model.persons[user_id].registered.username or "").lower()
        for part in {name, name[1:], name[:2]} - {""}:
            people, _ = found_people(part, viewer_id, BEGINNING, LISTED_MAX)
            expected = discovery.people_with(part, viewer_id)[:LISTED_MAX]
            yield "search.people", expected, [person.user_id for person in people]


def _found_at_home(model: Model, reader_id: UUID) -> Iterator[tuple[Any, Any]]:
    """What a reader finds in their home feed, newest first, by the commonest words and by a name."""
    matching = Matching(model)
    names = [model.persons[user_id].registered.username or "" for user_id in sorted(model.persons)[:1]]
    for query in (*model.discovery.words[:LOOKED_FOR_MAX], *(name[:4] for name in names if name)):
        skeleton = MatchingSkeleton(reader_id, Query(query))
        answered = home_recent_ids(reader_id, RANKED_ITEMS_MAX, skeleton=skeleton)
        yield matching.home(reader_id, query)[:RANKED_ITEMS_MAX], answered


def _of(expected: list[UUID], looked_at: list[UUID]) -> list[UUID]:
    """As far back as a list that was cut had been looked at."""
    return [each for each in expected if len(looked_at) < LISTED_MAX or each >= looked_at[-1]]
