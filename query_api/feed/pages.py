"""Pages of the home feed: by recency, or ranked within a session whose order holds from page to page."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from query_api.feed.home import HIT, HomeSkeleton
from query_api.feed.matching import MatchingSkeleton, Query
from query_api.feed.placing import HomeItems, read_home_page
from query_api.feed.queries import HomeRow, home_items, home_rows
from query_api.feed.ranking import Candidate, Ranked, diversified, rank, ranked_order
from query_api.feed.sessions import Frozen, freeze, new_session, thaw, thawed
from query_api.feed.standings import standings
from shared.environment import environment
from shared.ids import day_of
from shared.position import Position


@dataclass(frozen=True)
class Asked:
    """What is asked for besides: only what matches a query; and how far the posts of one author are set apart, 0 to 1,
    where items are ranked."""

    query: Query | None = None
    diversity: float = 0.0


PLAIN = Asked()


@dataclass(frozen=True)
class RecentPlace:
    """Where pages by recency have got to, and the newest item when they began (HomeSkeleton says what for)."""

    as_of: str | None
    after: str

    @classmethod
    def load(cls, value: Sequence[object]) -> "RecentPlace":
        as_of, after = map(_loaded, value)
        assert after is not None
        return cls(as_of, after)

    def dump(self) -> list[object]:
        return [_dumped(self.as_of), _dumped(self.after)]


@dataclass(frozen=True)
class RankedPlace:
    """Where a ranked session has got to: behind its first page, which showed `shown`, while `offset` is None; then an
    offset in the frozen order; then an item `after` which recency goes on.

    `ranked_at` is when the session began, in microseconds since 1970; it ranked items from `as_of` down to `lowest`,
    and `beyond` is whether older ones follow.
    """

    ranked_at: int
    session_id: str
    as_of: str
    lowest: str
    beyond: bool
    shown: tuple[str, ...] = ()
    offset: int | None = None
    after: str | None = None

    @classmethod
    def load(cls, value: Sequence[object]) -> "RankedPlace":
        ranked_at, session_id, as_of, lowest, beyond, shown, offset, after = value
        assert isinstance(ranked_at, int) and isinstance(session_id, str) and isinstance(shown, bytes)
        newest, oldest = _loaded(as_of), _loaded(lowest)
        assert newest is not None and oldest is not None
        return cls(
            ranked_at,
            session_id,
            newest,
            oldest,
            bool(beyond),
            tuple(shown[start : start + 16].hex() for start in range(0, len(shown), 16)),
            offset if isinstance(offset, int) else None,
            _loaded(after),
        )

    def dump(self) -> list[object]:
        shown = bytes.fromhex("".join(self.shown))
        bounds = [_dumped(self.as_of), _dumped(self.lowest), self.beyond]
        return [self.ranked_at, self.session_id, *bounds, shown, self.offset, _dumped(self.after)]


@dataclass(frozen=True)
class HomePage:
    """A page's items, where the next one begins, and, if it was asked for, what the order was made of."""

    rows: list[HomeRow]
    cache: str
    explained: dict[UUID, tuple[Ranked, str]] = field(default_factory=dict)  # by post, with where the item came from
    next_recent: RecentPlace | None = None
    next_place: RankedPlace | None = None


def recent_page(
    viewer_id: UUID,
    demanded: Position | None,
    place: RecentPlace | None,
    limit: int,
    explained_at: int | None = None,
    asked: Asked = PLAIN,
) -> HomePage:
    """Newest first. `explained_at` (microseconds) asks for each item's factors at that time."""
    skeleton = _skeleton(viewer_id, asked.query, demanded, place.as_of if place else None)
    page = _by_recency(viewer_id, skeleton, place.after if place else None, limit)
    explained = _explained(viewer_id, skeleton, page.rows, explained_at)
    following = None if page.next_key is None else RecentPlace(skeleton.as_of, page.next_key)
    return HomePage(page.rows, skeleton.cache, explained, next_recent=following)


def first_ranked_page(
    viewer_id: UUID, demanded: Position | None, ranked_at: int, limit: int, explain: bool, asked: Asked = PLAIN
) -> HomePage:
    """Begins a session: the newest items that V may see, in the order of the formula at `ranked_at`.

    Whoever demands a position is answered with what posts are liked now, not a few seconds ago.
    """
    skeleton = _skeleton(viewer_id, asked.query, demanded)
    newest = home_items(
        viewer_id,
        skeleton,
        environment().ranked_items_max,
        ranked_day=day_of(ranked_at),
        fresh=demanded is not None,
        admitting=True,
    )
    order = _ordered(newest.rows, ranked_at, asked.diversity)
    if not order or skeleton.as_of is None:
        return HomePage([], skeleton.cache)
    lowest = newest.rows[-1].standing_id
    begun = RankedPlace(ranked_at, new_session(), skeleton.as_of, lowest, newest.next_key is not None)
    rows, shown = _rows(viewer_id, order, limit, begun.as_of)
    explained = _factors(_ranked(order, ranked_at), rows, skeleton.pushed) if explain else {}
    page = HomePage(rows, skeleton.cache, explained)
    if shown < len(order):
        return replace(page, next_place=replace(begun, shown=tuple(each.post_id for each in order[:shown])))
    posts = frozenset(each.post_id for each in order)
    return _with_older(viewer_id, page, replace(begun, shown=tuple(posts), after=lowest), limit, explain, posts, asked)


def next_ranked_page(viewer_id: UUID, place: RankedPlace, limit: int, explain: bool, asked: Asked = PLAIN) -> HomePage:
    """Goes on with a session. Raises Gone when its frozen order is needed and lost."""
    if place.after is not None:
        # Where the first page showed all that was ranked, the place says so, and nothing was frozen. Otherwise only the
        # frozen order knows what came before: a post whose share was withdrawn since stands further down, and would be
        # shown again.
        left_out = frozenset(place.shown) or thaw(place.session_id).posts
        return _beyond(viewer_id, place, limit, explain, left_out, asked)
    cache = HIT
    if place.offset is not None:
        frozen = thaw(place.session_id)
    else:
        found = thawed(place.session_id)
        frozen, cache = (found, HIT) if found is not None else _frozen_now(viewer_id, place, asked)
    offset = place.offset or 0
    rows, looked_at = _rows(viewer_id, frozen.order[offset:], limit, place.as_of)
    explained = _factors(frozen.order, rows, frozen.pushed) if explain else {}
    page = HomePage(rows, cache, explained)
    place = replace(place, lowest=frozen.lowest, beyond=frozen.beyond, shown=(), offset=offset + looked_at)
    if offset + looked_at < len(frozen.order):
        return replace(page, next_place=place)
    return _with_older(viewer_id, page, replace(place, after=frozen.lowest), limit, explain, frozen.posts, asked)


def _skeleton(
    viewer_id: UUID, query: Query | None, demanded: Position | None = None, as_of: str | None = None
) -> HomeSkeleton:
    if query is None:
        return HomeSkeleton(viewer_id, demanded, as_of)
    return MatchingSkeleton(viewer_id, query, demanded, as_of)


def _frozen_now(viewer_id: UUID, place: RankedPlace, asked: Asked) -> tuple[Frozen, str]:
    """The order behind the first page, with what posts are liked now, and where its items came from."""
    skeleton = _skeleton(viewer_id, asked.query, as_of=place.as_of)
    items_max = environment().ranked_items_max
    day = day_of(place.ranked_at)
    newest = home_items(viewer_id, skeleton, items_max, after=_just_above(place.as_of), ranked_day=day)
    items = newest.rows
    if place.beyond:
        # What has sunk below since, as its share was withdrawn, follows by recency.
        items = [each for each in items if each.standing_id >= place.lowest]
    # Someone followed since may fill the room; what does not find any follows by recency too.
    full = len(items) == items_max
    lowest = items[-1].standing_id if full else place.lowest
    shown = frozenset(place.shown)
    whole = _ordered(items, place.ranked_at, asked.diversity)
    order = [each for each in whole if each.post_id not in shown]
    beyond = place.beyond or (full and newest.next_key is not None)
    frozen = Frozen(list(_ranked(order, place.ranked_at)), shown, lowest, beyond, skeleton.pushed)
    return freeze(place.session_id, frozen), skeleton.cache


def _ordered(items: Iterable[Candidate], ranked_at: int, diversity: float) -> Sequence[Candidate | Ranked]:
    order = ranked_order(items, ranked_at)
    return diversified(order, ranked_at, diversity) if diversity else order


def _ranked(order: Iterable[Candidate | Ranked], ranked_at: int) -> Iterable[Ranked]:
    return (each if isinstance(each, Ranked) else rank(each, ranked_at) for each in order)


def _rows(viewer_id: UUID, order: Sequence[Candidate | Ranked], limit: int, as_of: str) -> tuple[list[HomeRow], int]:
    """The order's first rows that are still there, and how many places they took.

    A post whose share was withdrawn meanwhile keeps its place while it stands in the feed by another item.
    """
    rows: list[HomeRow] = []
    offset = 0
    while len(rows) < limit and offset < len(order):
        slice_ = order[offset : offset + limit - len(rows)]
        offset += len(slice_)
        posts = [each.post_id for each in slice_]
        found = home_rows(viewer_id, posts, as_of)
        in_order = (found[post] for post in posts if post in found)
        rows += [row for row in in_order if row.standing_id is not None]
    return rows, offset


def _with_older(
    viewer_id: UUID,
    page: HomePage,
    place: RankedPlace,
    limit: int,
    explain: bool,
    ranked: frozenset[str],
    asked: Asked,
) -> HomePage:
    """The last page of an order, filled up from what is older, if there is any."""
    if not place.beyond:
        return page
    if len(page.rows) == limit:
        return replace(page, next_place=place)
    rest = _beyond(viewer_id, place, limit - len(page.rows), explain, ranked, asked)
    return HomePage(page.rows + rest.rows, page.cache, page.explained | rest.explained, next_place=rest.next_place)


def _beyond(
    viewer_id: UUID, place: RankedPlace, limit: int, explain: bool, ranked: frozenset[str], asked: Asked
) -> HomePage:
    """What is older than the ranked items, by recency, without the posts among them.

    One of those may have an older item too, which it stands at when the share that was ranked is withdrawn.
    """
    skeleton = _skeleton(viewer_id, asked.query, as_of=place.as_of)
    page = _by_recency(viewer_id, skeleton, place.after, limit, ranked)
    explained = _explained(viewer_id, skeleton, page.rows, place.ranked_at if explain else None)
    following = None if page.next_key is None else replace(place, after=page.next_key)
    return HomePage(page.rows, skeleton.cache, explained, next_place=following)


def _by_recency(
    viewer_id: UUID,
    skeleton: HomeSkeleton,
    after: str | None,
    limit: int,
    left_out: frozenset[str] = frozenset(),
) -> HomeItems[HomeRow]:
    return read_home_page(
        skeleton,
        lambda posts: skeleton.kept(home_rows(viewer_id, posts, skeleton.as_of)),
        after=after,
        limit=limit,
        left_out=left_out,
        rounds_max=skeleton.rounds_max,
    )


def _explained(
    viewer_id: UUID, skeleton: HomeSkeleton, rows: Sequence[HomeRow], at: int | None
) -> dict[UUID, tuple[Ranked, str]]:
    if at is None or not rows:
        return {}
    posts = [row.post.post_id.hex for row in rows]
    found = standings(viewer_id, posts, skeleton.as_of, skeleton.shared, ranked_day=day_of(at), fresh=True)
    return _factors(_ranked(found.values(), at), rows, skeleton.pushed)


def _factors(
    order: Iterable[Ranked], rows: Sequence[HomeRow], pushed: frozenset[str]
) -> dict[UUID, tuple[Ranked, str]]:
    by_post: Mapping[str, Ranked] = {each.post_id: each for each in order}
    found = ((row.post.post_id, by_post.get(row.post.post_id.hex)) for row in rows)
    return {
        post_id: (ranked, HomeSkeleton.source_of(ranked.item_id in pushed))
        for post_id, ranked in found
        if ranked is not None
    }


def _just_above(item_id: str) -> str:
    return f"{int(item_id, 16) + 1:032x}"


def _loaded(value: object) -> str | None:
    return value.hex() if isinstance(value, bytes) else None


def _dumped(value: str | None) -> bytes | None:
    return None if value is None else bytes.fromhex(value)
