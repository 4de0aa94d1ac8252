"""What readers are given is what the model says: warm feeds in Redis, and the query API's own answers.

The query functions are called without HTTP, and take the very path of a page: Redis where the feed is warm, PostgreSQL
below its floor, the rules in SQL.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import zip_longest
from typing import Any
from uuid import UUID

import psycopg

from query_api.feed.queries import home_ranked_ids, home_recent_ids
from query_api.notifications.queries import unread_count
from shared.feed_store import FeedPage
from tests.model.reference import RANKED_ITEMS_MAX, Model
from tests.model.tables import Difference, shown

READERS_ASKED_MAX = 200


def compare_warm(model: Model, warm: Iterable[tuple[UUID, FeedPage]]) -> tuple[int, list[Difference]]:
    """Readers compared, and every item above a floor that is missing or unknown."""
    readers, differences = 0, []
    for reader_id, page in warm:
        readers += 1
        held = {item for item in page.items if page.floor is None or item > page.floor}
        shows = {item for item in held if item in model.posts and model.is_home_item(reader_id, model.posts[item])}
        wanted = {item for item in model.home(reader_id) if page.floor is None or item > page.floor}
        differences += [
            Difference(
                "feed.warm",
                str(reader_id),
                "item",
                *(("present", "absent") if item in wanted else ("absent", "present")),
            )
            for item in sorted(shows ^ wanted)
        ]
    return readers, differences


def compare_answers(model: Model, readers: Sequence[UUID], ranked_at: int) -> tuple[dict[str, int], list[Difference]]:
    """What the query API answers these readers: newest 400, ranked 400, and how much is unread."""
    compared = dict.fromkeys(("feed.recent", "feed.ranked", "notifications.unread"), 0)
    differences = []

    def check(name: str, reader_id: UUID, expected: Any, found: Any) -> None:
        compared[name] += 1
        if expected != found:
            differences.append(_first_difference(name, reader_id, expected, found))

    for reader_id in readers[:READERS_ASKED_MAX]:
        recent = model.home(reader_id)[:RANKED_ITEMS_MAX]
        check("feed.recent", reader_id, recent, home_recent_ids(reader_id, RANKED_ITEMS_MAX))
        ranked = [item.post.post_id for item in model.ranked(reader_id, ranked_at)]
        check("feed.ranked", reader_id, ranked, home_ranked_ids(reader_id, RANKED_ITEMS_MAX, ranked_at))
        check("notifications.unread", reader_id, model.unread_count(reader_id), unread_count(reader_id))
    return compared, differences


def _first_difference(name: str, reader_id: UUID, expected: Any, found: Any) -> Difference:
    if not isinstance(expected, list):
        return Difference(name, str(reader_id), "value", shown(expected), shown(found))
    place, wanted, given = next(
        (index, one, other) for index, (one, other) in enumerate(zip_longest(expected, found)) if one != other
    )
    return Difference(name, str(reader_id), f"item {place}", shown(wanted), shown(given))


# A deletion takes notifications away whatever its id is, so only what is set must have a newer cause.
FRAMES_OUT_OF_ORDER = """
select f.recipient_id, f.seq, 'at most ' || coalesce(h.seq, 0)
  from delivery.frame f left join delivery.head h using (recipient_id)
 where f.seq > coalesce(h.seq, 0)
union all
select recipient_id, seq, 'a newer cause than the frame before' from (
    select recipient_id, seq, operation, cause_event,
           lag(cause_event) over (partition by recipient_id, notification_id order by seq) as before
      from delivery.frame) as each
 where operation = 'set' and cause_event <= before"""
LAST_FRAMES = """
select distinct on (recipient_id, notification_id) recipient_id, notification_id, operation
  from delivery.frame order by recipient_id, notification_id, seq desc"""

# The purger takes a recipient's first frames: as many notifications may have been announced by what is gone.
FRAMES_PURGED = """
select h.recipient_id, coalesce(min(f.seq), h.seq + 1) - 1
  from delivery.head h left join delivery.frame f using (recipient_id) group by h.recipient_id, h.seq"""


def compare_delivery(
    model: Model, connection: psycopg.Connection[Any], progress: Callable[[str], None]
) -> tuple[int, list[Difference]]:
    """Notifications compared: each that is present was announced, and its frames' sequence grows with its causes.

    As many as a recipient's purged frames may lack theirs.
    """
    progress("delivery.frame")
    differences = [
        Difference("delivery.frame", str(recipient_id), "seq", expected, str(seq))
        for recipient_id, seq, expected in connection.execute(FRAMES_OUT_OF_ORDER)
    ]
    with connection.cursor(name="last_frames", binary=True) as cursor:
        cursor.itersize = 20_000
        last = {
            (recipient_id, notification_id): operation
            for recipient_id, notification_id, operation in cursor.execute(LAST_FRAMES)
        }
    purged = dict(connection.execute(FRAMES_PURGED).fetchall())
    for notification in model.notifications.values():
        recipient_id = notification.cause.recipient_id
        found = last.get((recipient_id, notification.id))
        if found is None and purged.get(recipient_id, 0) > 0:
            purged[recipient_id] -= 1
        elif found != "set":
            differences.append(
                Difference("delivery.frame", str(notification.id), "operation", "set", str(found or "absent"))
            )
    return len(model.notifications), differences
