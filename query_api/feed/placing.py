"""Each post of a home feed is placed once, at the item where it stands, whatever candidates led to it.

A post may have many items, of which candidates may miss the newest (Redis and PostgreSQL are not at the same moment)
and repeat the others (a thousand people share one post). So every post is looked at once, by whichever of its items
came first, and put where its facts say that it stands; what is complete down to the last candidate makes the page.
Ids are hex digits here: comparing and hashing hundreds of UUIDs would take longer than all the rest.
"""

from collections.abc import Callable, Collection, Mapping, Set
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar

from query_api.pipeline import CANDIDATES_MAX, ROUNDS_MAX
from shared.feed_item import FeedMember


class Candidates(NamedTuple):
    """Items, newest first. Every item down to `reached` was looked at; None: there are no more."""

    items: list[FeedMember]
    reached: str | None


class Placed(Protocol):
    """A post and the item at which it stands; None when it is not to be seen."""

    @property
    def standing_id(self) -> str | None: ...


Row = TypeVar("Row", bound=Placed)


@dataclass(frozen=True)
class HomeItems(Generic[Row]):
    """Rows in order; `next_key` is the item that what follows begins after, None when nothing does."""

    rows: list[Row]
    next_key: str | None


# (the item to continue after, how many, posts that need not come again) -> what is older
Skeleton = Callable[[str | None, int, Set[str]], Candidates]


def read_home_page(
    skeleton: Skeleton,
    hydrate: Callable[[Collection[str]], Mapping[str, Row]],
    *,
    after: str | None,
    limit: int,
    left_out: Set[str] = frozenset(),
    rounds_max: int = ROUNDS_MAX,
) -> HomeItems[Row]:
    """The first `limit` posts that stand after the item, newest first, without those in `left_out`.

    `hydrate` answers rows by post. One post more than asked is looked for, so that the last page is known to be the
    last.
    """
    placed: dict[str, Row] = {}
    complete: list[str] = []
    settled = set(left_out)
    # One in eight more, so that a few that may not be seen do not cost another round.
    key, asked = after, limit + 1 + limit // 8
    for nth in range(1, rounds_max + 1):
        candidates = skeleton(key, asked, settled)
        key = candidates.reached
        posts = {item.post_id for item in candidates.items} - settled
        settled |= posts
        for row in hydrate(posts).values() if posts else ():
            standing_id = row.standing_id
            if standing_id is not None and (after is None or standing_id < after):
                placed[standing_id] = row
        complete = sorted(placed if key is None else [item for item in placed if item >= key], reverse=True)
        if len(complete) > limit:
            return HomeItems([placed[item] for item in complete[:limit]], complete[limit - 1])
        if key is None:
            break
        # What is missing, and the more beside it the more often too little was found.
        asked = min(CANDIDATES_MAX, (limit + 1 - len(complete)) * 2 ** min(nth, 10))
    return HomeItems([placed[item] for item in complete], key)
