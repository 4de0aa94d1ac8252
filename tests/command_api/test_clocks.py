"""Claim: whatever two servers with different clocks do at once, guards, log and read models agree in the end.

64 commands at a time from two processes whose clocks differ by 300 ms, on real servers: like against unlike, follow
against unfollow, comment against the deletion of the post. Oracle: for each aggregate the log's last event by id and
by offset; what the read models hold is taken from the log by the projections' own folds, in two orders of partitions.
Cannot catch: what a projector does with its database (tests/runtime), clocks that jump while a process runs.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import psycopg
import pytest

from command_api.accounts.commands.erase_user import EraseUser
from command_api.dispatch import dispatch
from command_api.posts.commands.delete_post import DeletePost
from command_api.posts.commands.publish_post import PublishPost
from command_api.reactions.commands.like_post import LikePost
from command_api.relationships.commands.follow_user import FollowUser
from projectors.counters.fold import PROJECTION as COUNTERS
from projectors.graph.fold import PROJECTION as GRAPH
from projectors.posts.fold import PROJECTION as POSTS
from projectors.runtime.projection import PostgresProjection
from schemas.types import CommentAdded, Event, PostDeleted, PostLiked, PostUnliked, UserErased, UserFollowed
from shared import clock
from shared.environment import Environment
from shared.ids import NIL
from tests.command_api.people import people
from tests.model.log import LogReader
from tests.properties.interpretation import Tables, fold_in_batches

SKEW_MICROS = 300_000
AT_ONCE = 64
ROUNDS = 4
ANSWER_SECONDS = 60
# A server whose clock is off by argv[1] microseconds: for each line of commands, all at once, each in its own thread.
SERVER = """
import json, sys, threading
from concurrent.futures import ThreadPoolExecutor
import django
django.setup()
from uuid import UUID
from command_api.accounts.commands.edit_profile import EditProfile
from command_api.dispatch import dispatch
from command_api.posts.commands.add_comment import AddComment
from command_api.posts.commands.delete_post import DeletePost
from command_api.reactions.commands.like_post import LikePost
from command_api.reactions.commands.unlike_post import UnlikePost
from command_api.relationships.commands.approve_follow import ApproveFollow
from command_api.relationships.commands.block_user import BlockUser
from command_api.relationships.commands.follow_user import FollowUser
from command_api.relationships.commands.reject_follow import RejectFollow
from command_api.relationships.commands.unblock_user import UnblockUser
from command_api.relationships.commands.unfollow_user import UnfollowUser
from shared import clock
from shared.errors import Rejected
true_now, offset = clock.now, int(sys.argv[1])
clock.now = lambda: true_now() + offset
COMMANDS = {
    "like": LikePost, "unlike": UnlikePost, "follow": FollowUser, "unfollow": UnfollowUser, "delete": DeletePost,
    "approve": ApproveFollow, "reject": RejectFollow, "block": BlockUser, "unblock": UnblockUser,
    "comment": lambda actor, post: AddComment(actor_id=actor, post_id=post, content="x"),
    "private": lambda actor, _: EditProfile(actor_id=actor, private=True),
    "public": lambda actor, _: EditProfile(actor_id=actor, private=False),
}
def carry_out(asked):
    kind, actor, target = asked
    start.wait()
    try:
        outcome = dispatch(COMMANDS[kind](UUID(actor), UUID(target)))
        return str(outcome.event_id) if outcome.changed else None
    except Rejected as rejection:
        return type(rejection).__name__
print("ready", flush=True)
with ThreadPoolExecutor(64) as pool:
    for line in sys.stdin:
        asked = json.loads(line)
        start = threading.Barrier(len(asked))
        print(json.dumps(list(pool.map(carry_out, asked))), flush=True)
"""

Guards = psycopg.Connection[Any]
Asked = tuple[str, UUID, UUID]


class Servers:
    """Two of them, whose clocks differ."""

    def __init__(self, processes: list[subprocess.Popen[str]]) -> None:
        self._processes = processes

    def at_once(self, *shares: list[Asked]) -> list[str | None]:
        """Each server's share of the commands, all at the same time; the events' ids or the refusals' names."""
        with ThreadPoolExecutor(len(shares)) as pool:
            answers = pool.map(self._ask, self._processes, shares)
            return [answer for answered in answers for answer in answered]

    @staticmethod
    def _ask(process: subprocess.Popen[str], share: list[Asked]) -> list[str | None]:
        assert process.stdin and process.stdout
        process.stdin.write(json.dumps([(kind, str(actor), str(target)) for kind, actor, target in share]) + "\n")
        process.stdin.flush()
        answered: list[str | None] = json.loads(process.stdout.readline())
        return answered


@contextmanager
def two_servers() -> Iterator[Servers]:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SERVER, str(offset)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for offset in (-SKEW_MICROS // 2, SKEW_MICROS // 2)
    ]
    try:
        for process in processes:
            assert process.stdout and process.stdout.readline() == "ready\n"
        yield Servers(processes)
    finally:
        for process in processes:
            process.communicate(timeout=ANSWER_SECONDS)


@pytest.fixture(scope="module")
def skewed(command_side: Environment) -> Iterator[Servers]:
    with two_servers() as servers:
        yield servers


@pytest.fixture
def log(command_side: Environment) -> Iterator[LogReader]:
    reader = LogReader(command_side)
    yield reader
    reader.close()


def read(log: LogReader) -> list[Event]:
    """The whole log, each partition in its order."""
    log.read_to(log.ends(), lambda done, of: None)
    return log.events


def folded(projection: PostgresProjection, events: Sequence[Event]) -> Tables:
    return fold_in_batches(projection.tables, [projection.fold([event]) for event in events])


def ids_in(answers: list[str | None]) -> list[UUID]:
    return sorted(UUID(answer) for answer in answers if answer and "-" in answer)


def taking_turns(first: str, second: str, edges: list[tuple[UUID, UUID]]) -> tuple[list[Asked], list[Asked]]:
    """64 commands on these edges, half to a server, each edge's kinds and servers well mixed."""
    asked = [((first, second)[n % 2], *edges[n // 2 % len(edges)]) for n in range(AT_ONCE)]
    return asked[: AT_ONCE // 2], asked[AT_ONCE // 2 :]


@pytest.mark.parametrize("edges", [1, 8])
def test_likes_and_unlikes(skewed: Servers, guards: Guards, log: LogReader, edges: int) -> None:
    ana, *readers = people(1 + edges)
    post = dispatch(PublishPost(actor_id=ana, content="liked and not")).event_id
    made = [skewed.at_once(*taking_turns("like", "unlike", [(r, post) for r in readers])) for _ in range(ROUNDS)]
    events = [one for one in read(log) if isinstance(one, PostLiked | PostUnliked) and one.post_id == post]
    assert sorted(event.event_id for event in events) == ids_in([answer for answers in made for answer in answers])
    for order in (events, events[::-1]):
        rows = {row["actor_id"]: row for row in folded(COUNTERS, order).rows("reaction")}
        for reader in readers:
            mine = [event for event in events if event.subject_id == reader]
            assert [e.event_id for e in mine] == sorted(e.event_id for e in mine), "the log keeps the edge's order"
            assert [isinstance(e, PostLiked) for e in mine] == [n % 2 == 0 for n in range(len(mine))]
            guard = guards.execute(
                "select active, last_event from reaction where post_id = %s and actor_id = %s", (post, reader)
            ).fetchone()
            assert guard == (isinstance(mine[-1], PostLiked), mine[-1].event_id)
            assert (rows[reader]["active"], rows[reader]["edge_event"]) == guard


@pytest.mark.parametrize("edges", [1, 8])
def test_follows_and_unfollows(skewed: Servers, guards: Guards, log: LogReader, edges: int) -> None:
    ana, *followers = people(1 + edges)
    made = [skewed.at_once(*taking_turns("follow", "unfollow", [(f, ana) for f in followers])) for _ in range(ROUNDS)]
    events = [one for one in read(log) if getattr(one, "followee_id", None) == ana]
    assert sorted(event.event_id for event in events) == ids_in([answer for answers in made for answer in answers])
    for order in (events, events[::-1]):
        rows = {row["from_id"]: row for row in folded(GRAPH, order).rows("relation")}
        for follower in followers:
            mine = [event for event in events if event.subject_id == follower]
            assert [e.event_id for e in mine] == sorted(e.event_id for e in mine), "the log keeps the edge's order"
            assert [isinstance(e, UserFollowed) for e in mine] == [n % 2 == 0 for n in range(len(mine))]
            guard = guards.execute(
                "select active, last_event from follow where follower_id = %s and followee_id = %s", (follower, ana)
            ).fetchone()
            assert guard == (isinstance(mine[-1], UserFollowed), mine[-1].event_id)
            assert (rows[follower]["follows"], rows[follower]["follow_event"]) == guard


@pytest.mark.parametrize("deleting", [0, 1], ids=["slow clock deletes", "fast clock deletes"])
def test_comments_and_the_deletion_of_their_post(
    skewed: Servers, guards: Guards, log: LogReader, deleting: int
) -> None:
    ana, *readers = people(9)
    posts = [dispatch(PublishPost(actor_id=ana, content="now or never")).event_id for _ in range(ROUNDS)]
    for post in posts:
        half = [("comment", readers[n % 8], post) for n in range(AT_ONCE // 2)]
        likes = [("like", readers[n % 8], post) for n in range(AT_ONCE // 2 - 1)]
        shares = [half, [*likes[:20], ("delete", ana, post), *likes[20:]]]
        skewed.at_once(*(shares if deleting else shares[::-1]))
    events = read(log)
    for post in posts:
        (deletion,) = [event for event in events if isinstance(event, PostDeleted) and event.post_id == post]
        edges = [e for e in events if isinstance(e, CommentAdded | PostLiked) and e.post_id == post]
        assert all(edge.event_id < deletion.event_id for edge in edges), "what was let in came before the end"
        guard = guards.execute("select deleted, last_event from post where post_id = %s", (post,)).fetchone()
        assert guard == (True, deletion.event_id)
        comments = guards.execute("select comment_id from comment where post_id = %s", (post,)).fetchall()
        assert {row[0] for row in comments} == {e.event_id for e in edges if isinstance(e, CommentAdded)}
        in_partition = [e for e in events if isinstance(e, CommentAdded | PostDeleted) and e.post_id == post]
        for order in (in_partition, in_partition[::-1]):
            assert not [row for row in folded(POSTS, order).rows("comment") if row["post_id"] == post]
    counted = folded(COUNTERS, events).counts()["post_count"]
    assert not [post for post in posts if (post,) in counted]


def test_an_end_is_newer_than_every_edge_however_slow_its_server_s_clock(log: LogReader) -> None:
    ana, ben = people(2)
    post = dispatch(PublishPost(actor_id=ana, content="short")).event_id
    ahead, behind = clock.now() + SKEW_MICROS, clock.now() - SKEW_MICROS
    like, follow = dispatch(LikePost(ben, post), now=ahead), dispatch(FollowUser(ben, ana), now=ahead + 10)
    deletion = dispatch(DeletePost(ana, post), now=behind)
    erasure = dispatch(EraseUser(ana), now=behind)
    assert NIL < like.event_id < deletion.event_id < erasure.event_id
    assert follow.event_id < erasure.event_id and isinstance(erasure.event, UserErased)
