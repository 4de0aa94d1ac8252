"""Who is away and what moderators keep back, over HTTP and the WebSocket, from events that were appended.

Claim: from the event on, nobody else is told anything of somebody deactivated, suspended or waiting to be erased, by
any read, and of held, hidden and removed content only its author of what is hidden; no count of a post or person
changes; and the event that takes it back brings everything back as it was.
Oracle: what the same reads answered before, and docs/semantics.md.
Cannot catch: an order of events that the projections fold wrongly (tests/properties and tests/model/test_verify.py do).
"""

from typing import Any
from uuid import UUID

import httpx
import pytest

from schemas.types import (
    AccountDeactivated,
    AccountReactivated,
    CommentAdded,
    ContentHeld,
    ContentHidden,
    ContentRemoved,
    ContentRestored,
    ContentScored,
    ErasureCancelled,
    ErasureRequested,
    UserSuspended,
    UserUnsuspended,
)
from shared.environment import Environment
from tests.query_api.appending import PARTITION, Log
from tests.query_api.serving import CONSISTENCY_WAIT_SECONDS, Serving
from tests.query_api.test_notifications import close_code, opened, pushed_before_a_marker, receive
from tests.query_api.test_shares import home, standing
from tests.query_api.world import World

LEAVING = pytest.mark.parametrize(
    ("leaves", "returns", "more"),
    [
        (AccountDeactivated, AccountReactivated, {}),
        (UserSuspended, UserUnsuspended, {}),
        (ErasureRequested, ErasureCancelled, {"erase_after": 1_900_000_000_000_000}),
    ],
    ids=["deactivated", "suspended", "about to be erased"],
)
KEPT_BACK = pytest.mark.parametrize("kind", [ContentHeld, ContentHidden, ContentRemoved])


@pytest.fixture
def log(read_tables: Environment, world: World) -> Log:
    return Log(read_tables, world)


def answers(serving: Serving, viewer: UUID, paths: list[str]) -> dict[str, httpx.Response]:
    return {path: serving.get(path, viewer) for path in paths}


def bodies(found: dict[str, httpx.Response]) -> dict[str, Any]:
    return {path: (answer.status_code, steady(answer.json())) for path, answer in found.items()}


def steady(body: Any) -> Any:
    """Without what is new in every answer: trace ids, and when a ranked session began."""
    if isinstance(body, dict):
        return {key: steady(each) for key, each in body.items() if key not in ("trace_id", "ranked_at", "next")}
    return [steady(each) for each in body] if isinstance(body, list) else body


def about(content_id: UUID, post_id: UUID, post_author_id: UUID) -> dict[str, UUID]:
    return {"content_id": content_id, "post_id": post_id, "post_author_id": post_author_id}


@LEAVING
def test_of_somebody_away_nobody_is_told_anything_until_they_return(
    serving: Serving, world: World, log: Log, leaves: type[Any], returns: type[Any], more: dict[str, Any]
) -> None:
    reader, author, third = world.person(), world.person(), world.person()
    for one, other in ((reader, author), (reader, third), (author, reader), (third, author), (author, third)):
        world.follow(one, other)
    world.relate(author, reader, "request")
    world.relate(reader, third, "mute", active=False)
    post = world.post(author)
    world.version(post, "hello", edit=False)
    others = world.post(third, f"ask <@{author}>", mentioned_ids=[author], quote_of=post)
    world.share(author, others)
    world.like(author, others)
    world.bookmark(reader, post)
    below = world.comment(others, author)
    world.comment(others, third, parent_id=below)
    world.comment(others, author, content="alone")
    world.notify(reader, author, "follow", ("user", reader))
    world.notify(reader, third, "mention", ("post", post), post)
    name = world.value("select username from profiles.person where user_id = %s", author)

    theirs = [f"users/{each}/{rest}" for each in (author, name) for rest in ("", "posts/", "followers/", "following/")]
    theirs += [f"posts/{post}/{rest}" for rest in ("", "history/", "likes/", "shares/", "comments/")]
    naming = ["feed/home/", "feed/home/?sort=recent", "feed/global/", f"posts/{others}/", f"posts/{others}/likes/"]
    naming += [f"posts/{others}/shares/", f"posts/{others}/comments/", f"posts/{others}/comments/?tree=1"]
    naming += [f"users/{third}/posts/", f"users/{third}/followers/", f"users/{reader}/following/", "bookmarks/"]
    naming += ["notifications/", "users/me/follow-requests/", f"comments/{below}/", f"comments/{below}/replies/"]
    counts = [f"users/{third}/", f"users/{reader}/", "notifications/unread-count/"]
    before = answers(serving, reader, [*theirs, *naming, *counts])
    assert {answer.status_code for answer in before.values()} == {200}
    silent = {path for path in naming if str(author) not in before[path].text}
    assert silent == {f"comments/{below}/replies/"}
    assert serving.get("notifications/unread-count/", reader).json() == {"unread": 2}

    log.append(leaves, author, **more)
    away = answers(serving, reader, [*theirs, *naming, *counts])
    assert {path: away[path].status_code for path in theirs} == dict.fromkeys(theirs, 404)
    assert {path: away[path].status_code for path in naming} == dict.fromkeys(naming, 200)
    assert [path for path in naming if str(author) in away[path].text or name in away[path].text] == []
    assert away[f"comments/{below}/"].json()["removed"]
    assert [len(away[f"posts/{others}/comments/"].json()["items"])] == [2], "the one that nobody answered is not there"
    assert away[f"posts/{others}/"].json()["content"] == "ask @deleted"
    assert away[f"posts/{others}/"].json()["counts"] == before[f"posts/{others}/"].json()["counts"]
    assert home(serving, reader) == [standing(others)]
    assert away["notifications/unread-count/"].json() == {"unread": 0}
    people = counts[:2]
    assert bodies({path: away[path] for path in people}) == bodies({path: before[path] for path in people})
    assert serving.get(f"posts/{post}/").status_code == 404, "nor is anybody without a token"

    log.append(returns, author)
    assert bodies(answers(serving, reader, list(before))) == bodies(before)


def test_one_return_is_not_the_others(serving: Serving, world: World, log: Log) -> None:
    reader, author = world.person(), world.person()
    log.append(UserSuspended, author)
    log.append(AccountDeactivated, author)
    log.append(AccountReactivated, author)
    assert serving.get(f"users/{author}/", reader).status_code == 404
    log.append(UserUnsuspended, author)
    assert serving.get(f"users/{author}/", reader).status_code == 200


@LEAVING
def test_a_token_outlives_its_bearers_leaving_and_the_bearer_does_not(
    serving: Serving, world: World, log: Log, leaves: type[Any], returns: type[Any], more: dict[str, Any]
) -> None:
    ana = world.person()
    ticket = serving.ticket(ana)
    with opened(serving, ana) as connection:
        assert receive(connection)["type"] == "hello"
    log.append(leaves, ana, **more)
    for path in ("users/me/", "feed/home/", "feed/global/", "notifications/"):
        answer = serving.get(path, ana)
        assert (answer.status_code, answer.json()["type"]) == (401, "urn:rookery:problem:unauthenticated"), path
    assert close_code(serving, serving.socket_url(ticket=ticket)) == 4403
    log.append(returns, ana)
    assert serving.get("users/me/", ana).status_code == 200


def test_who_demands_their_return_is_waited_for(serving: Serving, world: World, log: Log) -> None:
    ana = world.person()
    here = log.append(AccountDeactivated, ana)
    # What is demanded did not come in time, so that whoever is away stays away.
    late = serving.get("users/me/", ana, headers=serving.demand("accounts", PARTITION, here + 1))
    assert late.status_code == 401
    assert late.elapsed.total_seconds() >= CONSISTENCY_WAIT_SECONDS
    returned = log.append(AccountReactivated, ana)
    answer = serving.get("users/me/", ana, headers=serving.demand("accounts", PARTITION, returned))
    assert (answer.status_code, answer.headers["X-Consistency"]) == (200, "fresh")


@KEPT_BACK
def test_a_post_that_moderators_keep_back(serving: Serving, world: World, log: Log, kind: type[Any]) -> None:
    reader, author, sharer = world.person(), world.person(), world.person()
    world.follow(reader, author)
    world.follow(reader, sharer)
    post = world.post(author)
    world.share(sharer, post)
    quoting = world.post(sharer, quote_of=post)
    world.bookmark(reader, post)
    world.notify(reader, author, "mention", ("post", post), post)
    world.notify(author, reader, "like", ("post", post), post)
    paths = [f"posts/{post}/", "feed/home/", "feed/home/?sort=recent", "feed/global/", f"users/{author}/posts/"]
    paths += [f"posts/{quoting}/", "bookmarks/", "notifications/", "notifications/unread-count/", f"users/{author}/"]
    before = {viewer: answers(serving, viewer, paths) for viewer in (reader, author)}

    offset = log.append(kind, author, **about(post, post, author))
    fresh = serving.get(f"posts/{post}/", reader, headers=serving.demand("moderation", PARTITION, offset))
    assert (fresh.status_code, fresh.headers["X-Consistency"]) == (404, "fresh")
    assert home(serving, reader) == [standing(quoting)]
    for path in ("feed/home/", "feed/global/", f"users/{author}/posts/"):
        shown = [each.get("post", each)["id"] for each in serving.get(path, reader).json()["items"]]
        assert str(post) not in shown, path
    assert serving.get(f"posts/{quoting}/", reader).json()["quoted_post"] == {"id": str(post), "available": False}
    assert serving.get("bookmarks/", reader).json()["items"] == [{"id": str(post), "available": False}]
    assert serving.get("notifications/", reader).json()["items"] == []
    assert serving.get("notifications/unread-count/", reader).json() == {"unread": 0}
    assert bodies(answers(serving, reader, [f"users/{author}/"])) == bodies(
        {f"users/{author}/": before[reader][f"users/{author}/"]}
    )
    if kind is ContentHidden:
        assert bodies(answers(serving, author, paths)) == bodies(before[author]), "its author sees no difference"
    else:
        assert serving.get(f"posts/{post}/", author).status_code == 404
        assert home(serving, author) == []
        assert serving.get("notifications/unread-count/", author).json() == {"unread": 0}

    log.append(ContentRestored, author, **about(post, post, author))
    for viewer in (reader, author):
        assert bodies(answers(serving, viewer, paths)) == bodies(before[viewer])


@KEPT_BACK
def test_a_comment_that_moderators_keep_back(serving: Serving, world: World, log: Log, kind: type[Any]) -> None:
    reader, author, third = world.person(), world.person(), world.person()
    post = world.post(reader)
    spoken: list[UUID] = []
    for parent_id in (None, 0, None):
        spoken.append(world.tick())
        parent = {"parent_id": None if parent_id is None else spoken[parent_id]}
        said_by = author if len(spoken) != 2 else third
        log.append(
            CommentAdded, said_by, comment_id=spoken[-1], post_id=post, post_author_id=reader, content="well", **parent
        )
    answered, reply, alone = spoken
    paths = [f"posts/{post}/comments/", f"posts/{post}/comments/?tree=1", f"comments/{answered}/", "notifications/"]
    paths += [f"posts/{post}/", f"comments/{alone}/", "notifications/unread-count/"]
    before = {viewer: answers(serving, viewer, paths) for viewer in (reader, author)}
    assert before[reader]["notifications/unread-count/"].json() == {"unread": 3}

    for comment in (answered, alone):
        log.append(kind, author, **about(comment, post, reader))
    listed = serving.get(f"posts/{post}/comments/", reader).json()["items"]
    assert [(each["id"], each.get("removed", False)) for each in listed] == [(str(answered), True), (str(reply), False)]
    tree = serving.get(f"posts/{post}/comments/", reader, tree=1).json()["items"]
    assert [(each["id"], [below["id"] for below in each["replies"]]) for each in tree] == [
        (str(answered), [str(reply)])
    ]
    assert serving.get(f"comments/{alone}/", reader).status_code == 404
    assert [each["actor"]["id"] for each in serving.get("notifications/", reader).json()["items"]] == [str(third)]
    assert serving.get("notifications/unread-count/", reader).json() == {"unread": 1}
    counted = serving.get(f"posts/{post}/", third).json()["counts"]["comments"]
    assert counted == (1 if kind is ContentRemoved else 3)
    if kind is ContentHidden:
        assert bodies(answers(serving, author, paths)) == bodies(before[author]), "its author sees no difference"
    else:
        assert serving.get(f"comments/{alone}/", author).status_code == 404
        assert serving.get(f"comments/{answered}/", author).json()["removed"]

    for comment in (answered, alone):
        log.append(ContentRestored, author, **about(comment, post, reader))
    for viewer in (reader, author):
        assert bodies(answers(serving, viewer, paths)) == bodies(before[viewer])


def test_the_newest_score_lowers_a_posts_rank(serving: Serving, world: World, log: Log) -> None:
    reader, author = world.person(), world.person()
    world.follow(reader, author)
    popular, other = world.post(author), world.post(author)
    world.likes(popular, 8)

    def ranked() -> list[tuple[str, float, float]]:
        items = serving.get("feed/home/", reader, explain=1).json()["items"]
        return [(each["post"]["id"], each["explain"]["moderation"], each["explain"]["score"]) for each in items]

    unscored = ranked()
    assert [each[:2] for each in unscored] == [(str(popular), 0.0), (str(other), 0.0)]
    log.append(ContentScored, author, **about(popular, popular, author), model="test-1", score=1_000_000)
    log.append(ContentScored, author, **about(popular, popular, author), model="test-2", score=950_000)
    found = ranked()
    assert [each[:2] for each in found] == [(str(other), 0.0), (str(popular), 0.95)]
    assert found[1][2] == pytest.approx(unscored[0][2] * 0.05, rel=1e-3)


def test_nothing_by_somebody_away_is_pushed(serving: Serving, world: World, log: Log) -> None:
    ana, ben, cem = world.person(), world.person(), world.person()
    post = world.post(ana)
    log.append(UserSuspended, ben)
    world.notify(ana, ben, "like", ("post", post), post)
    world.notify(ana, cem, "comment", ("comment", hidden := world.comment(post, cem)), post)
    log.append(ContentHidden, cem, **about(hidden, post, ana))
    kept = world.notify(ana, cem, "like", ("post", post), post)
    with opened(serving, ana, after=0) as connection:
        assert receive(connection) == {"type": "hello", "seq": 3, "unread": 1}
        assert pushed_before_a_marker(serving, world, connection, ana) == [("notification", str(kept))]
