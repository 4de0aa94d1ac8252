"""`rookery verify` finds no difference where there is none, and names those that are there.

Claim: on a log of random events brought through every fold and store it reports 0 differences over every table and warm
feed; of values changed behind the projectors' back it names table, key and column; while a projection is behind it says
so and compares nothing.
Oracle: what this test itself changed.
Cannot catch: a difference that model and folds share (a misreading of docs/semantics.md).
"""

import asyncio
import json
import random
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from schemas.types import ContentScored, Event
from shared.environment import Environment
from shared.feed_item import FeedItem
from shared.feed_store import shard_key, shard_of
from tests.model.installation import Installation, answered
from tests.model.reference import Model
from tests.model.tables import TABLES, VIEWS
from tests.properties.histories import LEAVING, MODERATING, PEOPLE, REACTIONS, STEPS, Action, society

EVENTS = 1_200


def random_script(dice: random.Random) -> list[Action]:
    """What a small society does, mostly liking and commenting; one of them is erased in the end."""

    def anybody() -> int:
        return dice.randrange(PEOPLE)

    def some_post() -> int:
        return dice.randrange(EVENTS)

    def mentioned() -> list[int]:
        return dice.sample(range(PEOPLE), dice.choice([0, 0, 1, 2]))

    def arguments(verb: str) -> Action:
        match verb:
            case "publish":
                visibility = dice.choice(["public", "public", "followers", "private"])
                others = (dice.choice([None, some_post()]), dice.choice([None, None, some_post()]))
                return (anybody(), visibility, *others, mentioned())
            case "comment":
                return (anybody(), some_post(), dice.choice([None, some_post()]), mentioned())
            case "like":
                return (anybody(), some_post(), dice.choice(REACTIONS))
            case "unlike" | "keep" | "let go" | "share" | "unshare":
                return (anybody(), some_post())
            case "rewrite" | "reword":
                return (some_post(), mentioned())
            case "delete" | "withdraw":
                return (some_post(),)
            case _ if verb in LEAVING:
                return (anybody(),)
            case _ if verb in MODERATING:
                return (dice.choice([True, False]), some_post())
            case "edit":
                return (anybody(), "Ana", "a bio", dice.choice([None, True, False]))
            case "read":
                return (anybody(), [dice.randrange(30)], dice.choice([None, some_post()]))
        return (anybody(), anybody())

    verbs = dice.choices(
        ["publish", "comment", "like", "unlike", "follow", "unfollow", "edit", "read", "delete", "rewrite", "reword",
         "withdraw", "keep", "let go", "request", "approve", "reject", "block", "unblock", "mute", "unmute", "share",
         "unshare", *LEAVING, *MODERATING],
        weights=[15, 15, 40, 8, 12, 4, 2, 3, 1, 4, 3, 4, 5, 2, 2, 2, 1, 1, 3, 1, 2, 8, 3, *[1, 2] * 3, 2, 3, 2, 3, 8],
        k=EVENTS,
    )  # fmt: skip
    script: list[Action] = [(verb, arguments(verb), dice.choice(STEPS[:3])) for verb in ["publish", *verbs]]
    # Whatever chance brought: one waits for another's answer, one is muted, two are blocked, one is away, one erased.
    back = [(verb, (who,)) for who in range(3) for verb in ("reactivate", "unsuspend", "stay")]
    last = [
        ("unblock", (0, 1)), ("unblock", (1, 0)), ("request", (0, 1)), ("mute", (1, 0)), ("block", (2, 3)),
        *back, ("reactivate", (3,)), ("suspend", (3,)), ("erase", (PEOPLE - 1,)),
    ]  # fmt: skip
    return [*script, *((verb, given, STEPS[0]) for verb, given in last)]


@pytest.fixture(scope="module")
def events() -> list[Event]:
    return society([True] * PEOPLE, random_script(random.Random(20261121)))


@pytest.fixture(scope="module")
def installation(servers: Environment, scratch_database: str, events: list[Event]) -> Iterator[Installation]:
    made = Installation(servers, scratch_database)
    made.make()
    made.append(events)
    asyncio.run(made.project())
    yield made
    made.drop()


def verify(installation: Installation, timeout: int = 20) -> tuple[int, dict[str, Any], str]:
    return answered(installation, "tests.model.verify", "--json", "--timeout", str(timeout))


def test_everything_is_what_the_log_says(installation: Installation, events: list[Event]) -> None:
    status, report, errors = verify(installation)
    assert report.get("first_differences") == [], json.dumps(report.get("first_differences"), indent=1) + errors
    assert status == 0
    assert report["differences"] == 0 and report["events"] == len(events)
    counted = {name for name, count in report["compared"].items() if count}
    assert counted >= {table.name for table in (*TABLES, *VIEWS)}, "every table has something to compare"
    assert {"feed.warm", "feed.recent", "feed.ranked", "notifications.unread", "delivery.frame"} <= counted
    assert {
        "trends.hashtags",
        "trends.posts",
        "feed.explore",
        "feed.hashtag",
        "search.posts",
        "search.people",
    } <= counted
    assert {"people.blocks", "people.profile", "people.followers", "posts.comments", "posts.likes"} <= counted
    model = Model(events)
    assert model.blocks and model.mutes and model.requests, "there is something to hide and to list"
    latest = max(event.occurred_at for event in events)
    assert model.discovery.trending_hashtags(latest) and model.discovery.trending_posts(None, latest)
    assert any(model.discovery.explore(who, latest) for who in model.persons)
    assert any(model.removed_under(post_id, who) for post_id in model.posts for who, _ in model.blocks)
    assert model.away & model.persons.keys(), "somebody is away"
    moderated = {type(model.moderation[each]) for each in (model.posts | model.comments) & model.moderation.keys()}
    assert moderated == {*MODERATING.values()} - {ContentScored} and model.scores.keys() & model.posts.keys()


def test_what_was_changed_is_named(installation: Installation, events: list[Event]) -> None:
    model = Model(events)
    post_id = max(model.likes, key=lambda each: (model.likes[each], each))
    follower_id, followee_id = min(model.follows)
    reader_id = next(person for person in sorted(model.persons) if model.feeds.home(person))
    notifications = sorted(model.notifications.values())
    notification, silenced = (
        next(each for each in notifications if model.silenced(each.cause) is hidden) for hidden in (False, True)
    )
    with psycopg.connect(installation.environment.read_database_url, autocommit=True) as connection:
        connection.execute("update counters.post_count set likes = likes + 1 where post_id = %s", (post_id,))
        connection.execute("delete from graph.relation where (from_id, to_id) = (%s, %s)", (follower_id, followee_id))
        connection.execute(
            "insert into counters.person_count values (%s, 7) on conflict (user_id) do update set posts = 7",
            (reader_id,),
        )
        connection.execute("delete from delivery.frame where notification_id = %s", (notification.id,))
        connection.execute(
            """with head as (update delivery.head set seq = seq + 1 where recipient_id = %s returning recipient_id, seq)
               insert into delivery.frame (recipient_id, seq, notification_id, operation, cause_event)
               select recipient_id, seq, %s, 'set', %s from head""",
            (silenced.cause.recipient_id, silenced.id, silenced.cause.event_id),
        )
    shard = shard_of(reader_id, installation.environment.feed_shards)
    installation.redis.zrem(shard_key(shard, f"feed:{reader_id.hex}"), FeedItem(*model.feeds.home(reader_id)[0]).member)

    status, report, errors = verify(installation)
    assert status == 3, errors
    found = {(each["table"], each["key"], each["column"]) for each in report["first_differences"]}
    assert ("counters.post_count", f"({post_id})", "likes") in found
    assert ("graph.relation", f"({follower_id}, {followee_id})", "row") in found
    assert ("counters.person_count", f"({reader_id})", "posts") in found
    assert ("delivery.frame", str(notification.id), "operation") in found
    assert ("delivery.frame", str(silenced.id), "operation") in found
    assert ("feed.warm", str(reader_id), "item") in found
    assert report["differences"] >= len(found)


def test_a_projection_that_is_behind_is_not_compared(installation: Installation) -> None:
    with psycopg.connect(installation.environment.read_database_url, autocommit=True) as connection:
        connection.execute(
            "update graph.position set next_offset = next_offset - 1 where topic = 'graph' and partition = 0"
        )
    status, report, errors = verify(installation, timeout=1)
    assert (status, report) == (1, {})
    assert "graph is at" in errors and "rookery status" in errors
