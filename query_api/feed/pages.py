"""Pages of the home feed: by recency, or ranked within a session whose order was frozen when it began."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from query_api.feed.home import HIT, HomeSkeleton
from query_api.feed.queries import home_items, item_facts, ranked_items
from query_api.feed.ranking import Ranked
from query_api.feed.sessions import Frozen, freeze, thaw
from query_api.pipeline import Page, read_page
from query_api.posts.queries import PostRow, hydrate
from query_api.posts.rules import is_home_item
from shared.environment import environment
from shared.position import Position


@dataclass(frozen=True)
class RankedPlace:
    """Where a ranked session has got to: an offset in the frozen order, or an item after which recency goes on.

    `ranked_at` is when the session began, in microseconds since 1970.
    """

    ranked_at: int
    session_id: str | None
    offset: int
    after: UUID | None

    @classmethod
    def load(cls, value: Sequence[object]) -> "RankedPlace":
        ranked_at, session_id, offset, after = value
        assert isinstance(ranked_at, int) and isinstance(offset, int)
        return cls(
            ranked_at,
            session_id if isinstance(session_id, str) else None,
            offset,
            UUID(bytes=after) if isinstance(after, bytes) else None,
        )

    def dump(self) -> list[object]:
        return [self.ranked_at, self.session_id, self.offset, None if self.after is None else self.after.bytes]


@dataclass(frozen=True)
class HomePage:
    """A page's posts, where the next one begins, and, if it was asked for, what the order was made of."""

    rows: list[PostRow]
    cache: str
    explained: dict[UUID, tuple[Ranked, str]] = field(default_factory=dict)  # with where the item came from
    next_key: UUID | None = None
    next_place: RankedPlace | None = None


def recent_page(
    viewer_id: UUID, demanded: Position | None, after: UUID | None, limit: int, explained_at: int | None = None
) -> HomePage:
    """Newest first. `explained_at` (microseconds) asks for each item's factors at that time."""
    skeleton = HomeSkeleton(viewer_id, demanded)
    page = _by_recency(viewer_id, skeleton, after, limit)
    explained = _explained(viewer_id, skeleton, page.rows, explained_at)
    return HomePage(page.rows, skeleton.cache, explained, next_key=page.next_key)


def first_ranked_page(
    viewer_id: UUID, demanded: Position | None, ranked_at: int, limit: int, explain: bool
) -> HomePage:
    """Begins a session: the newest items that V may see, in the order of the formula at `ranked_at`."""
    skeleton = HomeSkeleton(viewer_id, demanded)
    newest = home_items(viewer_id, skeleton, environment().ranked_items_max)
    order = ranked_items(viewer_id, newest.rows, ranked_at)
    pushed = frozenset(each.post_id for each in order if skeleton.is_pushed(each.post_id))
    frozen = Frozen(order, beyond=newest.next_key is not None, pushed=pushed)
    # One page takes all of a short feed, and nothing is left for a session to remember.
    session_id = freeze(frozen) if len(order) > limit else None
    return _ranked(viewer_id, frozen, RankedPlace(ranked_at, session_id, 0, None), limit, explain, skeleton.cache)


def next_ranked_page(viewer_id: UUID, place: RankedPlace, limit: int, explain: bool) -> HomePage:
    """Goes on with a session. Raises Gone when its frozen order is needed and lost."""
    if place.session_id is None:
        return _beyond(viewer_id, place, limit, explain)
    return _ranked(viewer_id, thaw(place.session_id), place, limit, explain, HIT)


def _ranked(viewer_id: UUID, frozen: Frozen, place: RankedPlace, limit: int, explain: bool, cache: str) -> HomePage:
    """What has vanished since the session began is left out, and the page filled up from what follows."""
    rows: list[PostRow] = []
    offset = place.offset
    while len(rows) < limit and offset < len(frozen.order):
        ids = [each.post_id for each in frozen.order[offset : offset + limit - len(rows)]]
        offset += len(ids)
        found = hydrate(ids, viewer_id)
        rows += [found[each] for each in ids if each in found and is_home_item(found[each], viewer_id)]
    explained = {}
    if explain:
        factors = {each.post_id: each for each in frozen.order}
        explained = {
            row.post_id: (factors[row.post_id], HomeSkeleton.source_of(row.post_id in frozen.pushed)) for row in rows
        }
    if offset < len(frozen.order):
        return HomePage(rows, cache, explained, next_place=RankedPlace(place.ranked_at, place.session_id, offset, None))
    if not frozen.beyond:
        return HomePage(rows, cache, explained)
    beyond = RankedPlace(place.ranked_at, None, 0, frozen.oldest)
    if len(rows) == limit:
        return HomePage(rows, cache, explained, next_place=beyond)
    rest = _beyond(viewer_id, beyond, limit - len(rows), explain)
    return HomePage(rows + rest.rows, cache, explained | rest.explained, next_place=rest.next_place)


def _beyond(viewer_id: UUID, place: RankedPlace, limit: int, explain: bool) -> HomePage:
    """What is older than the ranked items, by recency."""
    skeleton = HomeSkeleton(viewer_id)
    page = _by_recency(viewer_id, skeleton, place.after, limit)
    explained = _explained(viewer_id, skeleton, page.rows, place.ranked_at if explain else None)
    following = None if page.next_key is None else RankedPlace(place.ranked_at, None, 0, page.next_key)
    return HomePage(page.rows, skeleton.cache, explained, next_place=following)


def _by_recency(viewer_id: UUID, skeleton: HomeSkeleton, after: UUID | None, limit: int) -> Page[PostRow]:
    return read_page(
        skeleton,
        lambda ids: hydrate(ids, viewer_id),
        lambda row: is_home_item(row, viewer_id),
        after=after,
        limit=limit,
    )


def _explained(
    viewer_id: UUID, skeleton: HomeSkeleton, rows: Sequence[PostRow], at: int | None
) -> dict[UUID, tuple[Ranked, str]]:
    if at is None or not rows:
        return {}
    facts = item_facts(viewer_id, [row.post_id for row in rows])
    ranked = ranked_items(viewer_id, list(facts.values()), at)
    return {each.post_id: (each, HomeSkeleton.source_of(skeleton.is_pushed(each.post_id))) for each in ranked}
