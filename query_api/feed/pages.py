"""Pages of the home feed: by recency, or ranked within a session whose order was frozen when it began."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from query_api.feed.home import HIT, HomeSkeleton
from query_api.feed.placing import read_home_page
from query_api.feed.queries import HomeRow, home_items, home_rows, item_facts, ranked_items
from query_api.feed.ranking import Ranked
from query_api.feed.sessions import Frozen, freeze, thaw
from query_api.pipeline import Page
from shared.environment import environment
from shared.errors import Gone
from shared.position import Position


@dataclass(frozen=True)
class RecentPlace:
    """Where pages by recency have got to, and the newest item when they began (HomeSkeleton says what for)."""

    as_of: UUID | None
    after: UUID

    @classmethod
    def load(cls, value: Sequence[object]) -> "RecentPlace":
        as_of, after = map(_loaded, value)
        assert after is not None
        return cls(as_of, after)

    def dump(self) -> list[object]:
        return [_dumped(self.as_of), self.after.bytes]


@dataclass(frozen=True)
class RankedPlace:
    """Where a ranked session has got to: an offset in the frozen order, or an item `after` which recency goes on.

    `ranked_at` is when the session began, in microseconds since 1970, `as_of` the newest item that it ranked.
    """

    ranked_at: int
    session_id: str | None
    offset: int
    after: UUID | None
    as_of: UUID | None = None

    @classmethod
    def load(cls, value: Sequence[object]) -> "RankedPlace":
        ranked_at, session_id, offset, after, as_of = value
        assert isinstance(ranked_at, int) and isinstance(offset, int)
        return cls(
            ranked_at,
            session_id if isinstance(session_id, str) else None,
            offset,
            _loaded(after),
            _loaded(as_of),
        )

    def dump(self) -> list[object]:
        return [self.ranked_at, self.session_id, self.offset, _dumped(self.after), _dumped(self.as_of)]


@dataclass(frozen=True)
class HomePage:
    """A page's items, where the next one begins, and, if it was asked for, what the order was made of."""

    rows: list[HomeRow]
    cache: str
    explained: dict[UUID, tuple[Ranked, str]] = field(default_factory=dict)  # by post, with where the item came from
    next_recent: RecentPlace | None = None
    next_place: RankedPlace | None = None


def recent_page(
    viewer_id: UUID, demanded: Position | None, place: RecentPlace | None, limit: int, explained_at: int | None = None
) -> HomePage:
    """Newest first. `explained_at` (microseconds) asks for each item's factors at that time."""
    skeleton = HomeSkeleton(viewer_id, demanded, place.as_of if place else None)
    page = _by_recency(viewer_id, skeleton, place.after if place else None, limit)
    explained = _explained(viewer_id, skeleton, page.rows, explained_at)
    following = None if page.next_key is None else RecentPlace(skeleton.as_of, page.next_key)
    return HomePage(page.rows, skeleton.cache, explained, next_recent=following)


def first_ranked_page(
    viewer_id: UUID, demanded: Position | None, ranked_at: int, limit: int, explain: bool
) -> HomePage:
    """Begins a session: the newest items that V may see, in the order of the formula at `ranked_at`."""
    skeleton = HomeSkeleton(viewer_id, demanded)
    newest = home_items(viewer_id, skeleton, environment().ranked_items_max)
    order = ranked_items(viewer_id, newest.rows, ranked_at)
    pushed = frozenset(each.item_id for each in order if skeleton.is_pushed(each.item_id))
    frozen = Frozen(order, beyond=newest.next_key is not None, pushed=pushed)
    # One page takes all of a short feed, and nothing is left for a session to remember.
    session_id = freeze(frozen) if len(order) > limit or frozen.beyond else None
    return _ranked(viewer_id, frozen, RankedPlace(ranked_at, session_id, 0, None), limit, explain, skeleton.cache)


def next_ranked_page(viewer_id: UUID, place: RankedPlace, limit: int, explain: bool) -> HomePage:
    """Goes on with a session. Raises Gone when its frozen order is needed and lost."""
    if place.after is not None:
        return _beyond(viewer_id, place, limit, explain, _posts_ranked(place.session_id))
    if place.session_id is None:
        raise Gone()
    return _ranked(viewer_id, thaw(place.session_id), place, limit, explain, HIT)


def _ranked(viewer_id: UUID, frozen: Frozen, place: RankedPlace, limit: int, explain: bool, cache: str) -> HomePage:
    """What has vanished since the session began is left out, and the page filled up from what follows.

    A post whose share was withdrawn meanwhile keeps its place while it stands in the feed by another item.
    """
    rows: list[HomeRow] = []
    offset = place.offset
    while len(rows) < limit and offset < len(frozen.order):
        slice_ = frozen.order[offset : offset + limit - len(rows)]
        offset += len(slice_)
        posts = [each.post_id for each in slice_]
        found = home_rows(viewer_id, posts, frozen.newest)
        in_order = (found[post_id] for post_id in posts if post_id in found)
        rows += [row for row in in_order if row.standing_id is not None]
    explained = {}
    if explain:
        factors = {each.post_id: each for each in frozen.order}
        explained = {
            row.post.post_id: (ranked, HomeSkeleton.source_of(ranked.item_id in frozen.pushed))
            for row in rows
            for ranked in [factors[row.post.post_id]]
        }
    if offset < len(frozen.order):
        return HomePage(rows, cache, explained, next_place=RankedPlace(place.ranked_at, place.session_id, offset, None))
    if not frozen.beyond:
        return HomePage(rows, cache, explained)
    beyond = RankedPlace(place.ranked_at, place.session_id, 0, frozen.oldest, frozen.newest)
    if len(rows) == limit:
        return HomePage(rows, cache, explained, next_place=beyond)
    rest = _beyond(viewer_id, beyond, limit - len(rows), explain, frozen.posts)
    return HomePage(rows + rest.rows, cache, explained | rest.explained, next_place=rest.next_place)


def _posts_ranked(session_id: str | None) -> frozenset[UUID]:
    """The posts that a session ranked, as long as it is remembered."""
    try:
        return thaw(session_id).posts if session_id is not None else frozenset()
    except Gone:
        return frozenset()


def _beyond(viewer_id: UUID, place: RankedPlace, limit: int, explain: bool, ranked: frozenset[UUID]) -> HomePage:
    """What is older than the ranked items, by recency, without the posts among them.

    One of those may have an older item too, which it stands at when the share that was ranked is withdrawn.
    """
    skeleton = HomeSkeleton(viewer_id, as_of=place.as_of)
    page = _by_recency(viewer_id, skeleton, place.after, limit, ranked)
    explained = _explained(viewer_id, skeleton, page.rows, place.ranked_at if explain else None)
    following = None if page.next_key is None else replace(place, after=page.next_key)
    return HomePage(page.rows, skeleton.cache, explained, next_place=following)


def _by_recency(
    viewer_id: UUID,
    skeleton: HomeSkeleton,
    after: UUID | None,
    limit: int,
    left_out: frozenset[UUID] = frozenset(),
) -> Page[HomeRow]:
    return read_home_page(
        skeleton,
        lambda post_ids: home_rows(viewer_id, post_ids, skeleton.as_of),
        after=after,
        limit=limit,
        left_out=left_out,
    )


def _explained(
    viewer_id: UUID, skeleton: HomeSkeleton, rows: Sequence[HomeRow], at: int | None
) -> dict[UUID, tuple[Ranked, str]]:
    if at is None or not rows:
        return {}
    facts = item_facts(viewer_id, [row.post.post_id for row in rows], skeleton.as_of)
    ranked = ranked_items(viewer_id, list(facts.values()), at)
    return {each.post_id: (each, HomeSkeleton.source_of(skeleton.is_pushed(each.item_id))) for each in ranked}


def _loaded(value: object) -> UUID | None:
    return UUID(bytes=value) if isinstance(value, bytes) else None


def _dumped(value: UUID | None) -> bytes | None:
    return None if value is None else value.bytes
