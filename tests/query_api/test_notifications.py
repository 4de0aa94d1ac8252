"""Notifications over HTTP and over the WebSocket: every frame once, in order, whatever happens to the connection.

The frames are written as the notifications projection writes them, or by its own apply where a mute or block changes
what is there; hints are sent as the sender sends them. What this cannot catch is a projection that writes its frames in
another transaction than its rows.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import pytest
from channels_redis.core import RedisChannelLayer
from websockets.asyncio.client import connect as connect_async
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from projectors.notifications.fold import PROJECTION, fold, notification_id
from projectors.runtime.stores.port import Advance, Outcome, Partition
from projectors.runtime.stores.postgres import PostgresStore
from schemas.types import (
    CommentAdded,
    Event,
    PostLiked,
    PostPublished,
    UserBlocked,
    UserMuted,
    UserUnblocked,
    UserUnmuted,
)
from shared.environment import Environment
from shared.ids import time_of
from tests.query_api.serving import Serving
from tests.query_api.world import World


@contextmanager
def opened(serving: Serving, user_id: UUID, **query: Any) -> Iterator[ClientConnection]:
    with connect(serving.socket_url(ticket=serving.ticket(user_id), **query)) as connection:
        yield connection


def receive(connection: ClientConnection, timeout: float = 5) -> dict[str, Any]:
    message: dict[str, Any] = orjson.loads(connection.recv(timeout=timeout))
    return message


def hint(serving: Serving, user_id: UUID, seq: int) -> None:
    """As the sender does after it has found a frame."""

    async def send() -> None:
        layer = RedisChannelLayer(hosts=[serving.variables["REDIS_URL"]], prefix="rookery:channels")
        await layer.group_send(f"user.{user_id.hex}", {"type": "delivery.hint", "seq": seq})
        await layer.close_pools()

    asyncio.run(send())


def event(world: World, kind: type[Any], actor: UUID, **fields: Any) -> Event:
    """What somebody does now."""
    event_id = world.tick()
    made: Event = kind(event_id=event_id, occurred_at=time_of(event_id), subject_id=actor, **fields)
    return made


def pushed_before_a_marker(
    serving: Serving, world: World, connection: ClientConnection, user_id: UUID
) -> list[tuple[str, str]]:
    """The (type, id) of all that comes before a notification of the test's own: what has not come then never will."""
    marker = world.notify(user_id, world.person(), "follow", ("user", user_id))
    hint(serving, user_id, world.value("select seq from delivery.head where recipient_id = %s", user_id))
    came = []
    while (message := receive(connection))["data"]["id"] != str(marker):
        came.append((message["type"], message["data"]["id"]))
    world.execute("delete from notifications.notification where id = %s", marker)
    return came


@pytest.fixture
def project(read_tables: Environment) -> Callable[..., None]:
    """Applies events as one batch, as the notifications projection's worker does."""
    here = Partition("test", 0)

    async def from_zero(partitions: Any) -> dict[Partition, int]:
        return dict.fromkeys(partitions, 0)

    async def applied(events: tuple[Event, ...]) -> None:
        store = PostgresStore(PROJECTION, read_tables.read_database_url, "test")
        fence = (await store.fence([here], from_zero))[here]
        step = Advance(here, fence.offset, fence.offset + len(events), fence.epoch)
        assert await store.apply(step, fold(events)) is Outcome.APPLIED
        await store.close()

    return lambda *events: asyncio.run(applied(events))


def close_code(serving: Serving, address: str) -> int | None:
    with connect(address) as connection:
        with pytest.raises(ConnectionClosed):
            connection.recv(timeout=5)
        return connection.close_code


def test_the_list_the_count_and_the_marks(serving: Serving, world: World) -> None:
    ana, ben, cem, erased = (world.person() for _ in range(4))
    post, deleted = world.post(ana), world.post(ana)
    liked = world.notify(ana, ben, "like", ("post", post), post)
    followed = world.notify(ana, cem, "follow", ("user", ana))
    undone = world.notify(ana, cem, "like", ("post", post), post)
    world.notify(ana, cem, "like", ("post", post), post, active=False)
    on_deleted = world.notify(ana, ben, "like", ("post", deleted), deleted)
    by_erased = world.notify(ana, erased, "follow", ("user", ana))
    world.delete_post(deleted)
    world.erase(erased)

    def listed(**query: Any) -> list[str]:
        return [item["id"] for item in serving.get("notifications/", ana, **query).json()["items"]]

    def count() -> int:
        unread: int = serving.get("notifications/unread-count/", ana).json()["unread"]
        return unread

    assert listed() == listed(unread=1) == [str(followed), str(liked)]
    assert not {str(undone), str(on_deleted), str(by_erased)} & set(listed())
    assert count() == 2
    shape = serving.get("notifications/", ana).json()["items"][1]
    assert shape["actor"]["id"] == str(ben)
    assert (shape["verb"], shape["target"], shape["data"]) == (
        "like",
        {"type": "post", "id": str(post)},
        {"reaction": "like"},
    )
    assert (shape["seq"], shape["read"]) == (1, False)

    read = world.tick()
    world.execute("update notifications.notification set read_event = %s where id = %s", read, liked)
    assert (listed(unread=1), count()) == ([str(followed)], 1)
    assert [item["read"] for item in serving.get("notifications/", ana).json()["items"]] == [False, True]
    world.execute("insert into notifications.read_mark (recipient_id, mark_event) values (%s, %s)", ana, world.tick())
    assert (listed(unread=1), count()) == ([], 0)
    # A newer cause makes it unread again, and puts it first.
    world.notify(ana, ben, "like", ("post", post), post)
    assert (listed(unread=1), listed(), count()) == ([str(liked)], [str(liked), str(followed)], 1)


def test_silence_hides_from_list_and_count_and_is_live_both_ways(
    serving: Serving, world: World, project: Callable[..., None]
) -> None:
    """One connection, open throughout, always knows what the list says."""
    ana, ben, cem = (world.person() for _ in range(3))
    post = world.post(ana)

    def like(actor: UUID) -> Event:
        return event(world, PostLiked, actor, post_id=post, post_author_id=ana, reaction="like")

    def listed() -> list[str]:
        items = serving.get("notifications/", ana).json()["items"]
        assert serving.get("notifications/unread-count/", ana).json() == {"unread": len(items)}
        with opened(serving, ana) as fresh:
            assert receive(fresh)["unread"] == len(items)
        return [item["actor"]["id"] for item in items]

    with opened(serving, ana) as connection:
        assert receive(connection)["type"] == "hello"

        def pushed() -> list[tuple[str, str]]:
            return pushed_before_a_marker(serving, world, connection, ana)

        project(like(ben))
        [(kind, of_ben)] = pushed()
        assert (kind, listed()) == ("notification", [str(ben)])

        project(event(world, UserMuted, ana, muted_id=ben))
        assert (pushed(), listed()) == ([("removed", of_ben)], [])
        project(like(ben), like(cem))
        [(kind, of_cem)] = pushed()
        assert (kind, listed()) == ("notification", [str(cem)])

        project(event(world, UserUnmuted, ana, muted_id=ben))
        assert (pushed(), listed()) == ([("notification", of_ben)], [str(cem), str(ben)])

        project(event(world, UserBlocked, cem, blocked_id=ana))
        assert (pushed(), listed()) == ([("removed", of_cem)], [str(ben)])
        project(event(world, UserUnblocked, cem, blocked_id=ana))
        assert (pushed(), listed()) == ([("notification", of_cem)], [str(cem), str(ben)])


def test_what_was_hidden_is_nothing_missed(serving: Serving, world: World, project: Callable[..., None]) -> None:
    ana, ben = world.person(), world.person()
    like = event(world, PostLiked, ben, post_id=world.post(ana), post_author_id=ana, reaction="like")
    project(event(world, UserMuted, ana, muted_id=ben))
    project(like)
    with opened(serving, ana, after=0) as connection:
        assert receive(connection) == {"type": "hello", "seq": 0, "unread": 0}
        world.notify(ana, world.person(), "follow", ("user", ana))
        hint(serving, ana, 1)
        assert receive(connection)["type"] == "notification"


def test_nobody_is_told_of_a_post_by_somebody_blocked(serving: Serving, world: World) -> None:
    ana, ben, cem = (world.person() for _ in range(3))
    post = world.post(ben)
    identifier = world.notify(ana, cem, "mention", ("comment", world.comment(post, cem)), post)

    def seen() -> list[str]:
        items = serving.get("notifications/", ana).json()["items"]
        assert serving.get("notifications/unread-count/", ana).json() == {"unread": len(items)}
        return [item["id"] for item in items]

    def pushed() -> list[tuple[str, str]]:
        """What a connection is told that begins where nothing had been told."""
        with opened(serving, ana, after=0) as connection:
            assert receive(connection)["type"] == "hello"
            return pushed_before_a_marker(serving, world, connection, ana)

    shown = [("notification", str(identifier))]
    assert (seen(), pushed()) == ([str(identifier)], shown)
    for who, whom in ((ana, ben), (ben, ana)):
        world.relate(who, whom, "block")
        assert (seen(), pushed()) == ([], [])
        world.relate(who, whom, "block", active=False)
        assert (seen(), pushed()) == ([str(identifier)], shown)
    # A mute hides what the muted do, not what others do at their posts.
    world.relate(ana, ben, "mute")
    assert (seen(), pushed()) == ([str(identifier)], shown)


def test_what_an_unblock_brings_back_does_not_wait_for_the_graph(
    serving: Serving, world: World, project: Callable[..., None]
) -> None:
    """The graph says throughout that they are blocked: it is behind."""
    ana, ben, cem = (world.person() for _ in range(3))
    post = world.post(ben)
    comment = world.comment(post, cem)
    mentioned = {"content": "", "mentioned_ids": (ana,)}
    mentions = (
        event(world, PostPublished, ben, post_id=post, visibility="public", hashtags="", **mentioned),
        event(world, CommentAdded, cem, comment_id=comment, post_id=post, post_author_id=ben, **mentioned),
    )
    ids = [str(notification_id(ana, who, "mention", target)) for who, target in ((ben, post), (cem, comment))]
    shown, taken_back = ([(kind, each) for each in ids] for kind in ("notification", "removed"))
    world.execute(
        "insert into graph.relation (from_id, to_id, blocks, block_event) values (%s, %s, true, %s)", ana, ben, ben
    )
    with opened(serving, ana) as connection:
        assert receive(connection)["type"] == "hello"
        for expected, happening in (
            (shown, mentions),
            (taken_back, [event(world, UserBlocked, ana, blocked_id=ben)]),
            (shown, [event(world, UserUnblocked, ana, blocked_id=ben)]),
        ):
            project(*happening)
            assert pushed_before_a_marker(serving, world, connection, ana) == expected


def test_nobody_is_told_of_a_post_that_they_may_not_see(serving: Serving, world: World) -> None:
    ana, ben = world.person(), world.person()
    post = world.post(ben, visibility="followers")
    identifier = world.notify(ana, ben, "mention", ("post", post), post)
    assert serving.get("notifications/", ana).json()["items"] == []
    assert serving.get("notifications/unread-count/", ana).json() == {"unread": 0}
    with opened(serving, ana, after=0) as connection:
        assert receive(connection) == {"type": "hello", "seq": 1, "unread": 0}
        assert pushed_before_a_marker(serving, world, connection, ana) == []
    world.follow(ana, ben)
    assert [item["id"] for item in serving.get("notifications/", ana).json()["items"]] == [str(identifier)]
    assert serving.get("notifications/unread-count/", ana).json() == {"unread": 1}
    with opened(serving, ana, after=0) as connection:
        assert receive(connection)["type"] == "hello"
        assert pushed_before_a_marker(serving, world, connection, ana) == [("notification", str(identifier))]


def test_a_frame_waits_for_the_follow_by_which_its_post_is_seen(serving: Serving, world: World) -> None:
    """Both are on their way: the mention came first, though the follow was accepted before it."""
    ana, ben = world.person(), world.person()
    post = world.post(ben, visibility="followers")
    identifier = world.notify(ana, ben, "mention", ("post", post), post)
    # As if it had just been written, for as long as the test takes.
    world.execute("update delivery.frame set written_at = now() + interval '1 hour' where recipient_id = %s", ana)
    with opened(serving, ana, after=0) as connection:
        assert receive(connection)["type"] == "hello"
        with pytest.raises(TimeoutError):
            connection.recv(timeout=0.3)
        world.follow(ana, ben)
        assert receive(connection)["data"]["id"] == str(identifier)


def test_notifications_page_while_more_arrive(serving: Serving, world: World) -> None:
    ana = world.person()
    expected = [str(world.notify(ana, world.person(), "follow", ("user", ana))) for _ in range(8)][::-1]
    answer = serving.get("notifications/", ana, limit=3)
    found = [item["id"] for item in answer.json()["items"]]
    while answer.json()["next"]:
        world.notify(ana, world.person(), "follow", ("user", ana))
        answer = serving.follow_next(answer, ana)
        found += [item["id"] for item in answer.json()["items"]]
    assert found == expected


def test_a_frame_arrives_on_a_hint(serving: Serving, world: World) -> None:
    ana, ben = world.person(), world.person()
    with opened(serving, ana) as connection:
        assert receive(connection) == {"type": "hello", "seq": 0, "unread": 0}
        online = serving.redis.zscore("online", ana.hex)
        assert time.time() < online < time.time() + 60
        identifier = world.notify(ana, ben, "follow", ("user", ana))
        hint(serving, ana, 1)
        message = receive(connection)
        assert (message["type"], message["seq"], message["data"]["id"]) == ("notification", 1, str(identifier))
        assert message["data"] == serving.get("notifications/", ana).json()["items"][0]
        world.notify(ana, ben, "follow", ("user", ana), active=False)
        hint(serving, ana, 2)
        assert receive(connection) == {"type": "removed", "seq": 2, "data": {"id": str(identifier)}}
        # A hint that comes twice shows nothing twice.
        hint(serving, ana, 2)
        assert pushed_before_a_marker(serving, world, connection, ana) == []
        connection.send('{"type":"ping"}')
        assert receive(connection) == {"type": "pong"}


def test_every_frame_once_over_reconnections(serving: Serving, world: World) -> None:
    ana = world.person()
    last, seen = 0, []
    for turn in range(6):
        # Some frames come while nobody listens, some between the hello and the first look, some on hints.
        for _ in range(turn % 3):
            world.notify(ana, world.person(), "follow", ("user", ana))
        with opened(serving, ana, after=last) as connection:
            hello = receive(connection)
            assert hello["type"] == "hello"
            world.notify(ana, world.person(), "follow", ("user", ana))
            head = world.value("select seq from delivery.head where recipient_id = %s", ana)
            hint(serving, ana, head)
            while last < head:
                message = receive(connection)
                assert message["type"] == "notification"
                last = message["seq"]
                seen.append(last)
    assert seen == list(range(1, last + 1))


def test_a_new_connection_starts_at_the_head(serving: Serving, world: World) -> None:
    ana = world.person()
    for _ in range(3):
        world.notify(ana, world.person(), "follow", ("user", ana))
    with opened(serving, ana) as connection:
        assert receive(connection) == {"type": "hello", "seq": 3, "unread": 3}
        assert pushed_before_a_marker(serving, world, connection, ana) == []


def test_a_frame_whose_notification_is_gone_leaves_a_hole(serving: Serving, world: World) -> None:
    ana, ben, cem = world.person(), world.person(), world.person()
    post = world.post(ana)
    world.notify(ana, ben, "like", ("post", post), post)
    undone = world.notify(ana, cem, "follow", ("user", ana))
    world.notify(ana, cem, "follow", ("user", ana), active=False)
    kept = world.notify(ana, ben, "follow", ("user", ana))
    world.delete_post(post)
    with opened(serving, ana, after=0) as connection:
        assert receive(connection) == {"type": "hello", "seq": 4, "unread": 1}
        assert receive(connection) == {"type": "removed", "seq": 3, "data": {"id": str(undone)}}
        message = receive(connection)
        assert (message["seq"], message["data"]["id"]) == (4, str(kept))


def test_a_frame_waits_for_its_actor(serving: Serving, world: World) -> None:
    ana, late = world.person(), world.person()
    world.execute("update profiles.person set created_event = null where user_id = %s", late)
    world.notify(ana, late, "follow", ("user", ana))
    with opened(serving, ana, after=0) as connection:
        assert receive(connection)["type"] == "hello"
        with pytest.raises(TimeoutError):
            connection.recv(timeout=0.3)
        world.execute("update profiles.person set created_event = user_id where user_id = %s", late)
        assert receive(connection)["seq"] == 1


@pytest.mark.parametrize("after", ["99", "x", "0"])
def test_what_can_no_longer_be_replayed_is_told(serving: Serving, world: World, after: str) -> None:
    ana = world.person()
    for _ in range(3):
        world.notify(ana, world.person(), "follow", ("user", ana))
    world.execute("delete from delivery.frame where recipient_id = %s and seq < 3", ana)
    with opened(serving, ana, after=after) as connection:
        assert receive(connection)["seq"] == 3
        assert receive(connection) == {"type": "resync"}
        world.notify(ana, world.person(), "follow", ("user", ana))
        hint(serving, ana, 4)
        assert receive(connection)["seq"] == 4


def test_a_heartbeat_finds_what_no_hint_told_of(serving: Serving, world: World) -> None:
    ana = world.person()
    with opened(serving, ana) as connection:
        assert receive(connection)["type"] == "hello"
        world.notify(ana, world.person(), "follow", ("user", ana))
        assert receive(connection, timeout=12)["seq"] == 1
        assert receive(connection, timeout=1) == {"type": "heartbeat", "seq": 1}


def test_a_redis_that_was_away_and_forgot_everything_ends_no_connection(serving: Serving, world: World) -> None:
    ana = world.person()
    with opened(serving, ana) as connection:
        assert receive(connection)["type"] == "hello"
        forget_and_disconnect(serving)
        # The heartbeat joins the group again, so the frame after it comes by its hint.
        assert receive(connection, timeout=12) == {"type": "heartbeat", "seq": 0}
        world.notify(ana, world.person(), "follow", ("user", ana))
        hint(serving, ana, 1)
        assert receive(connection, timeout=3)["seq"] == 1


def forget_and_disconnect(serving: Serving) -> None:
    """What a restart of Redis without its data is for the processes under test, and for nobody else."""
    own = serving.redis.client_id()
    database = str(serving.redis.connection_pool.connection_kwargs["db"])
    serving.redis.flushdb()
    for client in serving.redis.client_list():
        if client["db"] == database and int(client["id"]) != own:
            serving.redis.client_kill_filter(_id=client["id"])


def test_a_crowd_at_the_door_is_let_in(serving: Serving, world: World) -> None:
    ana = world.person()
    addresses = [serving.socket_url(ticket=serving.ticket(ana)) for _ in range(200)]

    async def greeting(address: str) -> str:
        async with connect_async(address, open_timeout=20) as connection:
            kind: str = orjson.loads(await asyncio.wait_for(connection.recv(), 20))["type"]
            return kind

    async def greetings() -> list[str]:
        return await asyncio.gather(*map(greeting, addresses))

    assert set(asyncio.run(greetings())) == {"hello"}


def test_a_ticket_is_good_once(serving: Serving, world: World) -> None:
    address = serving.socket_url(ticket=serving.ticket(world.person()))
    with connect(address) as connection:
        assert receive(connection)["type"] == "hello"
    assert close_code(serving, address) == 4401


def test_who_is_not_let_in(serving: Serving, world: World) -> None:
    ana = world.person()
    assert close_code(serving, serving.socket_url()) == 4401
    assert close_code(serving, serving.socket_url(ticket="made-up")) == 4401
    assert "made-up" not in (Path(serving.variables["ROOKERY_VAR"]) / "uvicorn.log").read_text()
    assert close_code(serving, serving.socket_url(token=serving.token(ana))) == 4401, "the setting does not allow it"
    world.erase(ana)
    assert close_code(serving, serving.socket_url(ticket=serving.ticket(ana))) == 4403
