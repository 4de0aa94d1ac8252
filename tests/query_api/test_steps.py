"""The pure steps of a read: rules, pages, cursors, text with mentions, trees, metrics; no server."""

from dataclasses import dataclass, replace
from itertools import pairwise
from random import Random
from uuid import UUID, uuid4

import pytest

from query_api.cursors import limit_of, read_id_cursor, write_id_cursor
from query_api.feed.rules import standing_item
from query_api.notifications.frames import State
from query_api.ops.metrics import Requests
from query_api.pipeline import Page, read_page
from query_api.posts.comments import build_trees
from query_api.posts.present import text
from query_api.posts.rules import effective_visibility, is_home_item, is_public_item, may_see
from shared.errors import ValidationFailed

ANA, BEN, CEM = (UUID(int=n) for n in (1, 2, 3))
POST = UUID(int=50)
SECRET = b"s" * 32


@dataclass(frozen=True)
class Facts:
    post_id: UUID = POST
    author_id: UUID = BEN
    visibility: str = "public"
    author_private: bool = False
    follows_author: bool = False
    hidden: bool = False
    muted: bool = False
    reply_to_id: UUID | None = None
    reply_to_author_id: UUID | None = None
    follows_replied_to: bool = False
    moderation: str | None = None
    author_away: bool = False


@pytest.mark.parametrize("private", [False, True])
@pytest.mark.parametrize("follows", [False, True])
@pytest.mark.parametrize("visibility", ["public", "followers", "private"])
def test_who_may_see_a_post(visibility: str, follows: bool, private: bool) -> None:
    post = Facts(visibility=visibility, follows_author=follows, author_private=private)
    assert may_see(post, BEN)
    expected = {"public": follows or not private, "followers": follows, "private": False}[visibility]
    assert may_see(post, ANA) == expected
    assert may_see(replace(post, follows_author=False), None) == (visibility == "public" and not private)


def test_a_private_accounts_posts_are_for_followers_at_most() -> None:
    assert effective_visibility(Facts(author_private=True)) == "followers"
    assert effective_visibility(Facts(author_private=True, visibility="private")) == "private"


def test_a_reply_is_an_item_only_for_who_follows_or_is_the_author_replied_to() -> None:
    reply = Facts(follows_author=True, reply_to_id=UUID(int=9), reply_to_author_id=CEM)
    assert not is_home_item(reply, ANA)
    assert is_home_item(replace(reply, follows_replied_to=True), ANA)
    assert is_home_item(replace(reply, reply_to_author_id=ANA), ANA)
    # V's own reply is under the same rule.
    assert not is_home_item(replace(reply, author_id=ANA, follows_author=False), ANA)
    assert not is_home_item(Facts(), ANA), "neither followed nor oneself"


def test_a_blocked_pair_sees_nothing_of_each_other_and_a_muted_author_is_seen_outside_the_feed() -> None:
    followed = Facts(follows_author=True)
    assert is_home_item(followed, ANA) and is_public_item(followed, ANA)
    hidden = replace(followed, hidden=True)
    assert not may_see(hidden, ANA) and not is_home_item(hidden, ANA) and not is_public_item(hidden, ANA)
    muted = replace(followed, muted=True)
    assert may_see(muted, ANA) and is_public_item(muted, ANA) and not is_home_item(muted, ANA)


@pytest.mark.parametrize("viewer", [ANA, BEN, None])
@pytest.mark.parametrize("moderation", [None, "held", "hidden", "removed"])
@pytest.mark.parametrize("away", [False, True])
def test_who_sees_what_moderators_keep_back_and_what_somebody_away_wrote(
    away: bool, moderation: str | None, viewer: UUID | None
) -> None:
    post = Facts(follows_author=viewer == ANA, author_away=away, moderation=moderation)
    seen = moderation in (None, "hidden") if viewer == BEN else moderation is None and not away
    assert may_see(post, viewer) == is_public_item(post, viewer) == seen
    if viewer is not None:
        assert is_home_item(post, viewer) == seen
        assert standing_item(post, viewer, UUID(int=60)) == (UUID(int=60) if seen else None)


def test_a_post_stands_at_the_newest_of_itself_and_the_share_that_counts() -> None:
    older, newer = UUID(int=40), UUID(int=60)
    followed, stranger = Facts(follows_author=True), Facts()
    assert [standing_item(followed, ANA, share) for share in (None, older, newer)] == [
        POST,
        POST,
        newer,
    ]
    assert [standing_item(stranger, ANA, share) for share in (None, newer)] == [None, newer]
    # Whoever shares a reply brings it; what may not be seen, nobody brings.
    reply = Facts(follows_author=True, reply_to_id=UUID(int=9), reply_to_author_id=CEM)
    assert [standing_item(reply, ANA, share) for share in (None, newer)] == [None, newer]
    assert standing_item(Facts(visibility="followers"), ANA, newer) is None
    for left_out in (replace(followed, muted=True), replace(followed, hidden=True)):
        assert standing_item(left_out, ANA, newer) is None


def ids(count: int) -> list[UUID]:
    return [UUID(int=n) for n in range(count, 0, -1)]


def pages(there: list[UUID], seen: set[UUID], limit: int) -> list[Page[UUID]]:
    """All pages of a list of which only `seen` may be shown."""

    def skeleton(before: UUID | None, count: int) -> list[UUID]:
        return [each for each in there if before is None or each < before][:count]

    found: list[Page[UUID]] = []
    after = None
    while True:
        page = read_page(
            skeleton, lambda some: {each: each for each in some}, seen.__contains__, after=after, limit=limit
        )
        found.append(page)
        if page.next_key is None:
            return found
        after = page.next_key


@pytest.mark.parametrize("limit", [1, 3, 7, 50])
def test_pages_show_all_that_may_be_seen_once_and_in_order(limit: int) -> None:
    random = Random(limit)
    there = ids(120)
    for share in (0.0, 0.05, 0.5, 1.0):
        seen = {each for each in there if random.random() < share}
        found = pages(there, seen, limit)
        shown = [row for page in found for row in page.rows]
        assert shown == [each for each in there if each in seen]
        assert all(len(page.rows) == limit for page in found[:-1])
        assert len(found) == 1 or found[-1].rows, "a page with a next one is followed by one that is not empty"


def test_a_list_with_nothing_to_see_gives_short_pages_and_not_slow_ones() -> None:
    there = ids(5_000)
    found = pages(there, {UUID(int=1)}, 1)
    assert len(found) > 1
    assert [row for page in found for row in page.rows] == [UUID(int=1)]


def test_a_cursor_is_good_for_its_own_list_only() -> None:
    key = uuid4()
    cursor = write_id_cursor(SECRET, "global", key)
    assert read_id_cursor(SECRET, "global", cursor) == key
    assert read_id_cursor(SECRET, "global", None) is None
    for secret, purpose, given in ((SECRET, "home", cursor), (b"t" * 32, "global", cursor), (SECRET, "global", "AAAA")):
        with pytest.raises(ValidationFailed):
            read_id_cursor(secret, purpose, given)


@pytest.mark.parametrize("given", ["0", "101", "-1", "1.5", "x", "٣", "1e2", "0x10", "99999999999999999999"])
def test_limits_outside_one_to_a_hundred_are_refused(given: str) -> None:
    with pytest.raises(ValidationFailed):
        limit_of(given)


def test_limits() -> None:
    assert [limit_of(each) for each in (None, "", "1", "100")] == [20, 20, 1, 100]


def test_mentions_are_shown_under_todays_names() -> None:
    stored = f"<@{ANA}> and <@{BEN}> but <@{CEM}> and @ana"
    assert text(stored, [ANA, BEN], {str(ANA): "ana2"}) == f"@ana2 and @deleted but <@{CEM}> and @ana"
    assert text(stored, [], None) == stored


def test_a_missing_parent_stands_as_placeholder_over_its_replies() -> None:
    @dataclass
    class Row:
        comment_id: UUID
        parent_id: UUID | None

    one, two, gone, reply, deeper = (UUID(int=n) for n in range(1, 6))
    rows = [Row(one, None), Row(two, None), Row(reply, gone), Row(deeper, reply)]
    trees = build_trees([one, two, gone], rows)  # type: ignore[arg-type]
    assert [tree.row is None for tree in trees] == [False, False, True]
    assert [each.comment_id for each in trees[2].replies] == [reply]
    assert [each.comment_id for each in trees[2].replies[0].replies] == [deeper]


@pytest.mark.parametrize(
    ("head", "kept", "after", "expected"),
    [(5, 1, 0, True), (5, 1, 5, True), (5, 1, 6, False), (5, 3, 2, True), (5, 3, 1, False), (5, None, 5, True),
     (5, None, 4, False), (0, None, 0, True)],
)  # fmt: skip
def test_what_can_still_be_sent_after_a_sequence(head: int, kept: int | None, after: int, expected: bool) -> None:
    assert State(head, kept, known=True, shut_out=False).has_all_after(after) == expected


def test_metrics_are_cumulative() -> None:
    requests = Requests()
    for seconds in (0.001, 0.03, 9.0):
        requests.observe('a"b', 200, seconds)
    lines = requests.text().splitlines()
    assert 'rookery_query_requests_total{route="a\\"b",status="200"} 3' in lines
    buckets = [int(line.rpartition(" ")[2]) for line in lines if "_bucket" in line]
    assert all(before <= after for before, after in pairwise(buckets))
    assert buckets[-1] == 3
