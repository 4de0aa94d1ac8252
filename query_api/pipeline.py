"""Every list is made in four steps, skeleton → hydrate → rules → present; its pages neither repeat nor skip anything.

    skeleton   candidate ids in the list's order, after a key
    hydrate    one statement: posts, authors, counts, the viewer's own flags, and the facts that the rules need
    rules      pure: may this viewer see it here?
    present    pure: the shape of the API

The steps are passed in, so that each can be read and tested alone (the pattern of bsky's pipeline.ts).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar
from uuid import UUID

Row = TypeVar("Row")

# (the key to continue after or None, how many) -> ids in the list's order, fewer only when there are no more
Skeleton = Callable[[UUID | None, int], Sequence[UUID]]

ROUNDS_MAX = 8  # a reader who may see next to nothing of what there is gets a short page with a cursor, not a slow one
CANDIDATES_MAX = 400


@dataclass(frozen=True)
class Page(Generic[Row]):
    """Rows in order; `next_key` is what the following page begins after, None when this is the last one."""

    rows: list[Row]
    next_key: UUID | None


def read_page(
    skeleton: Skeleton,
    hydrate: Callable[[Sequence[UUID]], Mapping[UUID, Row]],
    rules: Callable[[Row], bool],
    *,
    after: UUID | None,
    limit: int,
    rounds_max: int = ROUNDS_MAX,
) -> Page[Row]:
    """The first `limit` rows after the key that pass the rules, refetching where candidates were left out.

    One row more than asked is looked for, so that the last page is known to be the last.
    """
    shown: list[tuple[UUID, Row]] = []
    key, asked = after, limit + 1
    for nth in range(1, rounds_max + 1):
        candidates = skeleton(key, asked)
        if candidates:
            key = candidates[-1]
            found = hydrate(candidates)
            shown += [(each, found[each]) for each in candidates if each in found and rules(found[each])]
        if len(shown) > limit:
            return Page([row for _, row in shown[:limit]], shown[limit - 1][0])
        if len(candidates) < asked:
            return Page([row for _, row in shown], None)
        # What is missing, and the more beside it the more often too little was found.
        asked = min(CANDIDATES_MAX, (limit + 1 - len(shown)) * 2 ** min(nth, 10))
    return Page([row for _, row in shown], key)
