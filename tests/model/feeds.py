"""What readers are given is what the model says: warm feeds in Redis, and the query API's own answers.

The query functions are called without HTTP, and take the very path of a page: Redis where the feed is warm, PostgreSQL
below its floor, the rules in SQL.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import Any
from uuid import UUID

import psycopg

from query_api.feed.queries import home_ranked_ids, home_recent_ids
from query_api.graph.queries import asking, blocks_of, mutes_of
from query_api.notifications.queries import unread_count
from query_api.posts.comments import flat_comments
from query_api.posts.queries import authored_ids, hydrate
from query_api.posts.rules import may_see
from query_api.profiles.queries import FOLLOWERS_SQL, FOLLOWING_SQL, FollowList, profile
from query_api.reactions.queries import newest_reactions, newest_shares, reactions, shares
from shared.feed_store import FeedPage
from tests.model.home import RANKED_ITEMS_MAX, Item
from tests.model.reference import Model
from tests.model.tables import Difference, shown

READERS_ASKED_MAX = 200
PEOPLE_ASKED_ABOUT_MAX, POSTS_ASKED_ABOUT_MAX = 5, 10  # by each of them
LISTED_MAX = 100_000  # longer than any list is here


def compare_warm(model: Model, warm: Iterable[tuple[UUID, FeedPage]]) -> tuple[int, list[Difference]]:
    """Readers compared, and every item above a floor that is missing or unknown."""
    readers, differences = 0, []
    for reader_id, page in warm:
        readers += 1
        held = {Item(*item) for item in page.items if page.floor is None or item.item_id > page.floor}
        # All items of a post, not only the one at which it stands: which that is, is decided when a page is built.
        items = model.feeds.home_items(reader_id)
        shows = {item for item in held if item in items}
        wanted = {item for item in items if page.floor is None or item.item_id > page.floor}
        differences += [
            Difference(
                "feed.warm",
                str(reader_id),
                "item",
                *((shown(item), "absent") if item in wanted else ("absent", shown(item))),
            )
            for item in sorted(shows ^ wanted)
        ]
    return readers, differences


def compare_answers(model: Model, readers: Sequence[UUID], ranked_at: int) -> tuple[dict[str, int], list[Difference]]:
    """What the query API answers these readers: feeds (newest 400, ranked 400), unread, people, what hangs on posts."""
    compared: Counter[str] = Counter()
    differences = []

    def check(name: str, reader_id: UUID, expected: Any, found: Any) -> None:
        compared[name] += 1
        if expected != found:
            differences.append(first_difference(name, reader_id, expected, found))

    # Whoever is away is not answered at all.
    for reader_id in [each for each in readers if each not in model.away][:READERS_ASKED_MAX]:
        recent = model.feeds.home(reader_id)[:RANKED_ITEMS_MAX]
        check("feed.recent", reader_id, recent, home_recent_ids(reader_id, RANKED_ITEMS_MAX))
        ranked = [ranked.item for ranked in model.feeds.ranked(reader_id, ranked_at)]
        check("feed.ranked", reader_id, ranked, home_ranked_ids(reader_id, RANKED_ITEMS_MAX, ranked_at))
        check("notifications.unread", reader_id, model.unread_count(reader_id), unread_count(reader_id))
        for name, expected, found in (
            *_people(model, reader_id),
            *_below_posts(model, reader_id, [item.post_id for item in recent]),
        ):
            check(name, reader_id, expected, found)
    return compared, differences


def _people(model: Model, reader_id: UUID) -> Iterator[tuple[str, Any, Any]]:
    """One's own lists, and the profiles and follows of those whom a block, or their being away, may hide."""
    lists = (
        ("blocks", model.blocks_of, blocks_of),
        ("mutes", model.mutes_of, mutes_of),
        ("requests", model.asking, asking),
    )
    for name, expected, listed_for in lists:
        rows = listed_for(reader_id, None, LISTED_MAX).rows
        yield f"people.{name}", expected(reader_id), [row.author_id for row in rows]
    either = {person for pair in model.block_words if reader_id in pair for person in pair} & model.persons.keys()
    asked = [*sorted(either | {reader_id})[:PEOPLE_ASKED_ABOUT_MAX], *sorted(model.away & model.persons.keys())]
    for user_id in dict.fromkeys(asked[: 2 * PEOPLE_ASKED_ABOUT_MAX]):
        row = profile(str(user_id), reader_id)
        found = None if row is None else (row.follows, row.followed_by, row.requested, row.blocks, row.mutes)
        pair = (reader_id, user_id)
        edges = (pair in model.follows, pair[::-1] in model.follows, pair in model.requests, False, pair in model.mutes)
        yield "people.profile", edges if model.profile_visible(user_id, reader_id) else None, found
        written = authored_ids(user_id, None, POSTS_ASKED_ABOUT_MAX)
        there = hydrate(written, reader_id)
        visible = set(model.posts_of(user_id, reader_id))
        seen = [post_id for post_id in written if post_id in there and may_see(there[post_id], reader_id)]
        yield "people.posts", [post_id for post_id in written if post_id in visible], seen
        for name, statement, listed in (
            ("followers", FOLLOWERS_SQL, model.followers_of), ("following", FOLLOWING_SQL, model.followed_by),
        ):  # fmt: skip
            follows = FollowList(statement, user_id, reader_id)
            events = follows.skeleton(None, LISTED_MAX)
            found_people = follows.hydrate(events)
            people = [found_people[event].user_id for event in events if event in found_people]
            yield f"people.{name}", listed(user_id, reader_id), people


def _below_posts(model: Model, reader_id: UUID, posts: Sequence[UUID]) -> Iterator[tuple[str, Any, Any]]:
    """The comments, reactions and shares that the reader finds under the newest of these posts."""
    for post_id in posts[:POSTS_ASKED_ABOUT_MAX]:
        removed = model.removed_under(post_id, reader_id)
        expected = [(each, each in removed) for each in sorted(model.comments_under(post_id, reader_id) | removed)]
        found = flat_comments(post_id, reader_id, None, LISTED_MAX)
        yield "posts.comments", expected, [(row.comment_id, row.removed) for row in found]
        rows = reactions(post_id, newest_reactions(post_id, None, LISTED_MAX), reader_id)
        yield "posts.likes", model.likers(post_id, reader_id), [rows[event].author_id for event in sorted(rows)[::-1]]
        sharers = shares(post_id, newest_shares(post_id, None, LISTED_MAX), reader_id)
        listed = [sharers[share_id].author_id for share_id in sorted(sharers)[::-1]]
        yield "posts.shares", model.shares_of(post_id, reader_id), listed


def first_difference(name: str, reader_id: UUID | None, expected: Any, found: Any) -> Difference:
    """Of two lists the first place at which they differ."""
    if not isinstance(expected, list):
        return Difference(name, str(reader_id), "value", shown(expected), shown(found))
    place, wanted, given = next(
        (index, one, other) for index, (one, other) in enumerate(zip_longest(expected, found)) if one != other
    )
    return Difference(name, str(reader_id), f"item {place}", shown(wanted), shown(given))


# A deletion takes notifications away whatever its id is, so only what is set must have a newer cause; what a silence
# took away comes back with the cause it had.
FRAMES_OUT_OF_ORDER = """
select f.recipient_id, f.seq, 'at most ' || coalesce(h.seq, 0)
  from delivery.frame f left join delivery.head h using (recipient_id)
 where f.seq > coalesce(h.seq, 0)
union all
select recipient_id, seq, 'a newer cause than the frame before' from (
    select recipient_id, seq, operation, cause_event,
           lag(cause_event) over of_one as before, lag(operation) over of_one as operation_before
      from delivery.frame
    window of_one as (partition by recipient_id, notification_id order by seq)) as each
 where operation = 'set' and (cause_event < before or cause_event = before and operation_before = 'set')"""
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
    """Notifications compared: each that is there was announced last, or never or taken back where a silence hides it;
    and its frames' sequence grows with its causes. As many as a recipient's purged frames may lack theirs."""
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
        cause = notification.cause
        found = last.get((cause.recipient_id, notification.id), "absent")
        wanted = ("remove", "absent") if model.silenced(cause) else ("set",)
        if found in wanted:
            continue
        if found == "absent" and purged.get(cause.recipient_id, 0) > 0:
            purged[cause.recipient_id] -= 1
        else:
            differences.append(Difference("delivery.frame", str(notification.id), "operation", wanted[0], found))
    return len(model.notifications), differences
