"""`diversity` over HTTP: a ranked session in which the posts of one author stand further apart, frozen as any other.

Oracle: each item's own explanation, put together as docs/semantics.md says, over all pages of a session.
Cannot catch: an order that the explanations share an error with; ranking.py's own tests are in tests/specs and
tests/properties.
"""

from collections import defaultdict
from typing import Any
from uuid import UUID

import pytest

from tests.query_api.serving import Serving
from tests.query_api.test_home import all_ids, circle, newest_first
from tests.query_api.world import World

RANKED_ITEMS_MAX = 40


def session(serving: Serving, viewer: UUID, **query: Any) -> list[dict[str, Any]]:
    answer = serving.get("feed/home/", viewer, explain=1, **query)
    assert answer.status_code == 200, answer.text
    found = answer.json()["items"]
    while answer.json()["next"]:
        answer = serving.follow_next(answer, viewer)
        found += answer.json()["items"]
    return list(found)


def formula(explain: dict[str, float]) -> float:
    kept = explain["affinity"] * (1 - explain["moderation"])
    return (explain["engagement"] + 1) / (explain["age_hours"] + 2) ** 1.8 * kept


@pytest.mark.parametrize("diversity", ["0.5", "1", "0.07"])
@pytest.mark.parametrize("limit", [7, 100])
def test_an_author_s_further_posts_count_for_less(serving: Serving, world: World, diversity: str, limit: int) -> None:
    viewer, _, _, posts = circle(world, RANKED_ITEMS_MAX + 9)
    for nth, post in enumerate(posts):
        world.likes(post, 1 + nth * 7 % 11)
    found = session(serving, viewer, diversity=diversity, limit=limit)
    assert [item["post"]["id"] for item in found[RANKED_ITEMS_MAX:]] == newest_first(posts[:9])
    ranked = found[:RANKED_ITEMS_MAX]
    assert sorted((item["post"]["id"] for item in ranked), reverse=True) == newest_first(posts[9:])
    scores = [item["explain"]["score"] for item in ranked]
    assert scores == sorted(scores, reverse=True)
    by_author = defaultdict(list)
    for item in ranked:
        by_author[item["post"]["author"]["id"]].append(item["explain"])
    assert len(by_author) == 3
    for explained in by_author.values():
        explained.sort(key=formula, reverse=True)
        for nth, each in enumerate(explained):
            assert each["diversity"] == pytest.approx((1 - float(diversity)) ** nth)
            assert each["score"] == pytest.approx(formula(each) * each["diversity"])
    if diversity == "1":
        assert len({item["post"]["author"]["id"] for item in ranked[:3]}) == 3
    assert {item["explain"]["diversity"] for item in session(serving, viewer, limit=limit)} == {1}


def test_a_session_holds_and_its_cursor_is_good_for_its_diversity_alone(serving: Serving, world: World) -> None:
    viewer, _, _, posts = circle(world, 30)
    first = serving.get("feed/home/", viewer, diversity="0.5", limit=5)
    cursor = first.json()["next"]
    one = all_ids(serving, first, viewer)
    for post in posts:
        world.likes(post, 1 + post.int % 9)
    assert all_ids(serving, first, viewer) == one
    assert sorted(one, reverse=True) == newest_first(posts)
    for query in ("0", "0.4", "1"):
        assert serving.get("feed/home/", viewer, diversity=query, cursor=cursor).status_code == 400
    assert serving.get("feed/home/", viewer, cursor=cursor).status_code == 400
    matching = serving.get("feed/home/", viewer, diversity="0.5", limit=5, q="hello")
    assert sorted(all_ids(serving, matching, viewer), reverse=True) == newest_first(posts)


@pytest.mark.parametrize("diversity", ["-1", "1.1", "2", "0.123", "nan", "1e-1", ".5", "half", "٠"])
def test_what_is_no_diversity_is_refused(serving: Serving, world: World, diversity: str) -> None:
    answer = serving.get("feed/home/", world.person(), diversity=diversity)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == "/diversity"


def test_only_what_is_ranked_has_any(serving: Serving, world: World) -> None:
    viewer, *_ = circle(world, 3)
    assert serving.get("feed/home/", viewer, sort="recent", diversity="0.5").status_code == 400
    assert serving.get("posts/following/", viewer, diversity="0.5").status_code == 400
    assert serving.get("feed/home/", viewer, sort="recent", diversity="0").status_code == 200
