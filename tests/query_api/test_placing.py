"""Claim: pages of a home feed hold each post once, where it stands, whatever candidates led to it, in few rounds.

Oracle: each post's newest item, sorted. Pure; the candidates are lists in memory, with and without what is settled.
Cannot catch: candidates that SQL or Redis leave out (tests/model/test_verify.py, tests/query_api/test_shares.py).
"""

from collections.abc import Iterable, Set
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from query_api.feed.placing import Candidates, read_home_page
from shared.feed_item import FeedMember


@dataclass(frozen=True)
class Post:
    post_id: str
    standing_id: str | None


def identifier(number: int) -> str:
    return f"{number:032x}"


def number_of(identifier: str) -> int:
    return int(identifier, 16)


class Feed:
    """Candidates and where their posts stand; counts how often it was asked."""

    def __init__(self, items: Iterable[tuple[int, int]], standing: dict[int, int | None], lists_settled: bool) -> None:
        self.items = sorted((FeedMember(identifier(item), identifier(post)) for item, post in items), reverse=True)
        self.standing = standing
        self.lists_settled = lists_settled  # as Redis does, and PostgreSQL does not
        self.rounds = 0
        self.hydrated: list[str] = []

    def skeleton(self, before: str | None, limit: int, settled: Set[str]) -> Candidates:
        self.rounds += 1
        there = [
            item
            for item in self.items
            if (before is None or item.item_id < before) and (self.lists_settled or item.post_id not in settled)
        ]
        found = there[:limit]
        return Candidates(found, found[-1].item_id if len(found) == limit else None)

    def hydrate(self, post_ids: Iterable[str]) -> dict[str, Post]:
        asked = list(post_ids)
        self.hydrated += asked
        found = {}
        for post_id in asked:
            if number_of(post_id) in self.standing:
                item = self.standing[number_of(post_id)]
                found[post_id] = Post(post_id, None if item is None else identifier(item))
        return found

    def pages(self, limit: int, left_out: Set[str] = frozenset()) -> list[list[int]]:
        pages, after = [], None
        while True:
            page = read_home_page(self.skeleton, self.hydrate, after=after, limit=limit, left_out=left_out)
            pages.append([number_of(row.post_id) for row in page.rows])
            after = page.next_key
            if after is None:
                return pages


def flat(pages: list[list[int]]) -> list[int]:
    return [post for page in pages for post in page]


SOURCES = pytest.mark.parametrize("lists_settled", [True, False], ids=["warm", "database"])


@SOURCES
@given(
    items=st.dictionaries(st.integers(100, 400), st.integers(1, 40), max_size=80),
    unseen=st.sets(st.integers(1, 40)),
    limit=st.integers(1, 12),
)
def test_every_post_that_stands_is_on_one_page_in_order(
    lists_settled: bool, items: dict[int, int], unseen: set[int], limit: int
) -> None:
    newest: dict[int, int] = {}
    for item, post in items.items():
        newest[post] = max(item, newest.get(post, 0))
    standing = {post: None if post in unseen else item for post, item in newest.items()}
    feed = Feed(items.items(), dict(standing), lists_settled)
    expected = sorted((post for post in standing if standing[post] is not None), key=lambda post: -newest[post])
    pages = feed.pages(limit)
    assert flat(pages) == expected
    assert all(len(page) == limit for page in pages[:-1])


@SOURCES
def test_posts_that_hundreds_share_take_few_rounds_and_one_look_each(lists_settled: bool) -> None:
    posts, sharers = 100, 8
    items = {1_000_000 + sharer * posts + post: post for post in range(posts) for sharer in range(sharers)}
    standing = {post: 1_000_000 + (sharers - 1) * posts + post for post in range(posts)}
    feed = Feed(items.items(), dict(standing), lists_settled)
    page = read_home_page(feed.skeleton, feed.hydrate, after=None, limit=400, rounds_max=1000)
    assert [number_of(row.post_id) for row in page.rows] == sorted(range(posts), reverse=True)
    assert len(feed.hydrated) == posts and feed.rounds <= 3
    feed.rounds = 0
    assert flat(feed.pages(20)) == sorted(range(posts), reverse=True)
    assert feed.rounds <= 30


def test_a_post_is_placed_at_its_newest_item_though_that_is_no_candidate() -> None:
    feed = Feed([(30, 3), (10, 1), (5, 2)], {3: 30, 1: 20, 2: 5}, True)
    assert flat(feed.pages(10)) == [3, 1, 2]
    assert feed.pages(1) == [[3], [1], [2]]


def test_a_post_that_stands_above_the_page_is_not_on_it() -> None:
    feed = Feed([(10, 1), (5, 2)], {1: 20, 2: 5}, True)
    page = read_home_page(feed.skeleton, feed.hydrate, after=identifier(15), limit=10)
    assert [number_of(row.post_id) for row in page.rows] == [2]


def test_a_withdrawn_share_leaves_its_post_where_it_stands_then() -> None:
    feed = Feed([(30, 1), (20, 2), (10, 1), (5, 3)], {1: 10, 2: 20, 3: 5}, True)
    assert flat(feed.pages(2)) == [2, 1, 3]


def test_what_is_left_out_does_not_come() -> None:
    feed = Feed([(30, 1), (20, 2), (10, 1)], {1: 30, 2: 20}, True)
    assert flat(feed.pages(5, left_out={identifier(1)})) == [2]
    assert identifier(1) not in feed.hydrated
