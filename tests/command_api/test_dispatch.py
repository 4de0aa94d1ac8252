"""One command, one fact: guards, outbox and log agree, whoever else is writing, and a key gets one answer.

On a real PostgreSQL and Kafka. Cannot catch: what happens when either dies in the middle (tests/chaos).
"""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from django.db import connections

from command_api import dispatch as dispatcher
from command_api.dispatch import LONG_PAST, Outcome, dispatch, dispatch_batch
from command_api.event_log.idempotency import IdempotencyKey, claim, fingerprint
from command_api.event_log.late import late_marker
from command_api.posts.commands.add_comment import AddComment
from command_api.posts.commands.delete_post import DeletePost
from command_api.posts.commands.publish_post import PublishPost
from command_api.reactions.commands.like_post import LikePost
from command_api.reactions.commands.unlike_post import UnlikePost
from command_api.relationships.commands.follow_user import FollowUser
from command_api.relationships.commands.unfollow_user import UnfollowUser
from command_api.routing import Command
from schemas.types import CommentAdded, PostDeleted, PostLiked
from shared import clock, ids
from shared.errors import Conflict, KeyReused, NotFound, Rejected, Unavailable
from tests.command_api.people import copies_in_log, log_of, outbox_row, people

Guards = psycopg.Connection[Any]


def in_threads(tasks: list[Callable[[], Any]]) -> list[Any]:
    """All at once, each in a thread and with a connection of its own."""
    start = threading.Barrier(len(tasks))

    def run(task: Callable[[], Any]) -> Any:
        start.wait()
        try:
            return task()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(tasks)) as pool:
        return list(pool.map(run, tasks))


def attempt(command: Command) -> Outcome | Rejected:
    try:
        return dispatch(command)
    except Rejected as rejection:
        return rejection


def test_what_is_acknowledged_is_in_the_log_once_with_the_outbox_s_bytes(guards: Guards) -> None:
    (ana,) = people()
    outcome = dispatch(PublishPost(actor_id=ana, content="hello"))
    row = outbox_row(guards, outcome.event_id)
    assert outcome.position == (row[0], row[1], row[3] + 1)
    assert copies_in_log(outcome.event_id, row) == [row[2]]
    assert log_of(row[0], row[1])[row[3]][1] == row[2]


def test_the_text_is_sealed(guards: Guards) -> None:
    (ana,) = people()
    outcome = dispatch(PublishPost(actor_id=ana, content="nobody reads this in the log"))
    assert b"nobody reads" not in outbox_row(guards, outcome.event_id)[2]


def test_repeated_commands_change_nothing_and_tell_the_first_one_s_position() -> None:
    ana, ben = people(2)
    first, second = dispatch(FollowUser(ana, ben)), dispatch(FollowUser(ana, ben))
    assert first.changed and not second.changed
    assert (second.event_id, second.position) == (first.event_id, first.position)
    assert dispatch(UnfollowUser(ana, ben)).changed
    assert not dispatch(UnfollowUser(ana, ben)).changed


def test_an_event_the_outbox_forgot_demands_nothing(guards: Guards) -> None:
    ana, ben = people(2)
    first = dispatch(FollowUser(ana, ben))
    guards.execute("delete from outbox where event_id = %s", (first.event_id,))
    assert dispatch(FollowUser(ana, ben)).position == LONG_PAST


def test_a_command_with_a_slow_clock_is_still_newer_than_what_it_saw() -> None:
    ana, ben = people(2)
    first = dispatch(FollowUser(ana, ben), now=clock.now() + 60_000_000)
    second = dispatch(UnfollowUser(ana, ben), now=clock.now() - 60_000_000)
    assert second.event_id > first.event_id


def test_many_at_once_on_one_edge_leave_the_guard_at_the_newest_event(guards: Guards) -> None:
    ana, ben = people(2)
    post = dispatch(PublishPost(actor_id=ana, content="like me")).event_id
    commands: list[Command] = [LikePost(ben, post) if n % 2 else UnlikePost(ben, post) for n in range(64)]
    outcomes: list[Outcome] = in_threads([partial(dispatch, command) for command in commands])
    changed = sorted((outcome for outcome in outcomes if outcome.changed), key=lambda outcome: outcome.event_id)
    assert changed, "an unlike after a like, or a like, must have changed something"
    kinds = [isinstance(outcome.event, PostLiked) for outcome in changed]
    assert kinds == [n % 2 == 0 for n in range(len(kinds))], "likes and unlikes must take turns, a like first"
    state = guards.execute(
        "select active, last_event from reaction where post_id = %s and actor_id = %s", (post, ben)
    ).fetchone()
    assert state == (kinds[-1], changed[-1].event_id)
    logged = [UUID(bytes=key[16:]) for key, _ in log_of("engagement", outbox_row(guards, changed[0].event_id)[1])]
    mine = [event_id for event_id in logged if event_id in {outcome.event_id for outcome in changed}]
    assert mine == [outcome.event_id for outcome in changed if outcome.position], "the log keeps the edge's order"


def test_a_comment_and_the_deletion_of_its_post_agree_which_was_first() -> None:
    ana, ben = people(2)
    for _ in range(12):
        post = dispatch(PublishPost(actor_id=ana, content="now or never")).event_id
        comment = AddComment(actor_id=ben, post_id=post, content="just in time")
        deletion = DeletePost(ana, post)
        added, deleted = in_threads([partial(attempt, comment), partial(attempt, deletion)])
        assert isinstance(deleted, Outcome) and isinstance(deleted.event, PostDeleted)
        if isinstance(added, Outcome):
            assert isinstance(added.event, CommentAdded) and added.event_id < deleted.event_id
        else:
            assert isinstance(added, NotFound)


def respond(event: object) -> tuple[int, Any]:
    return (201 if event else 200), {"changed": bool(event), "nonce": uuid4().hex}


def test_one_key_one_answer() -> None:
    ana, ben = people(2)
    key = IdempotencyKey(uuid4().hex, fingerprint("POST", "/follow", {}))
    first = dispatch(FollowUser(ana, ben), idempotency=key, respond=respond)
    dispatch(UnfollowUser(ana, ben))
    again = dispatch(FollowUser(ana, ben), idempotency=key, respond=respond)
    assert again.replayed and not again.changed
    assert (again.answer, again.position) == (first.answer, first.position)
    assert dispatch(FollowUser(ana, ben)).changed, "the replay has changed nothing"


def test_an_answer_that_changed_nothing_is_remembered_too() -> None:
    ana, ben = people(2)
    followed = dispatch(FollowUser(ana, ben))
    key = IdempotencyKey(uuid4().hex, fingerprint("POST", "/follow", {}))
    first = dispatch(FollowUser(ana, ben), idempotency=key, respond=respond)
    dispatch(UnfollowUser(ana, ben))
    again = dispatch(FollowUser(ana, ben), idempotency=key, respond=respond)
    assert again.replayed and again.answer == first.answer
    assert again.position == first.position == followed.position


def test_a_key_is_its_actor_s_alone_and_for_one_request() -> None:
    ana, ben, cleo = people(3)
    key = IdempotencyKey("the same", fingerprint("POST", "/follow", {}))
    assert dispatch(FollowUser(ana, cleo), idempotency=key, respond=respond).changed
    assert dispatch(FollowUser(ben, cleo), idempotency=key, respond=respond).changed
    other = IdempotencyKey("the same", fingerprint("POST", "/follow", {"x": 1}))
    with pytest.raises(KeyReused):
        dispatch(FollowUser(ana, ben), idempotency=other, respond=respond)


def test_a_refusal_is_not_remembered() -> None:
    ana, ben = people(2)
    key = IdempotencyKey(uuid4().hex, fingerprint("POST", "/like", {}))
    with pytest.raises(NotFound):
        dispatch(LikePost(ana, ids.mint(clock.now())), idempotency=key, respond=respond)
    post = dispatch(PublishPost(actor_id=ben, content="here")).event_id
    assert dispatch(LikePost(ana, post), idempotency=key, respond=respond).changed


def test_a_key_in_flight_is_a_conflict(guards: Guards) -> None:
    ana, ben = people(2)
    key = IdempotencyKey(uuid4().hex, fingerprint("POST", "/follow", {}))
    with guards.transaction():
        assert claim(guards.cursor(), ana, key) is None
        with pytest.raises(Conflict):
            dispatch(FollowUser(ana, ben), idempotency=key, respond=respond)
    assert dispatch(FollowUser(ana, ben), idempotency=key, respond=respond).changed


def test_sixteen_with_one_key_at_once_have_one_effect(guards: Guards) -> None:
    (ana,) = people()
    key = IdempotencyKey(uuid4().hex, fingerprint("POST", "/posts", {}))

    def publish() -> Outcome | Rejected:
        try:
            return dispatch(PublishPost(actor_id=ana, content="once"), idempotency=key, respond=respond)
        except Conflict as conflict:
            return conflict

    outcomes = in_threads([publish] * 16)
    answers = {outcome.answer for outcome in outcomes if isinstance(outcome, Outcome)}
    assert len(answers) == 1
    count = guards.execute("select count(*) from post where author_id = %s", (ana,)).fetchone()
    assert count == (1,)


def test_a_batch_decides_in_order_and_refuses_one_by_one(guards: Guards) -> None:
    ana, ben = people(2)
    post = dispatch(PublishPost(actor_id=ana, content="batch")).event_id
    begin = clock.now() + 1_000_000
    outcomes = dispatch_batch(
        [LikePost(ben, post), LikePost(ben, post), UnlikePost(ben, post), FollowUser(ana, ana), FollowUser(ana, ben)],
        [begin + n for n in range(5)],
    )
    assert [outcome.changed for outcome in outcomes] == [True, False, True, False, True]
    assert outcomes[1].event_id == outcomes[0].event_id and outcomes[1].position == outcomes[0].position
    assert isinstance(outcomes[3].rejection, Conflict)
    assert all(outcome.position for outcome in outcomes if outcome.rejection is None)
    assert [ids.time_of(outcomes[n].event_id) - begin for n in (0, 2, 4)] == [0, 2, 4]
    for outcome in outcomes:
        if outcome.changed:
            row = outbox_row(guards, outcome.event_id)
            assert copies_in_log(outcome.event_id, row) == [row[2]]


def test_batches_larger_than_a_transaction_and_several_at_once() -> None:
    folk = people(60)
    pairs = [(one, other) for one in folk for other in folk if one != other]
    halves = [pairs[: len(pairs) // 2 + 100], pairs[len(pairs) // 2 - 100 :]]
    results = in_threads([partial(dispatch_batch, [FollowUser(*pair) for pair in half]) for half in halves])
    outcomes = [outcome for result in results for outcome in result]
    assert all(outcome.position and outcome.rejection is None for outcome in outcomes)
    assert sum(outcome.changed for outcome in outcomes) == len(pairs)


def test_a_connection_that_died_between_two_requests_is_not_met(guards: Guards) -> None:
    ana, ben = people(2)
    _kill_connection(guards)
    connections["default"].close_if_unusable_or_obsolete()  # as Django does when a request begins
    dispatcher._backlog_checked = (0.0, False)
    assert dispatch(FollowUser(ana, ben)).changed


def test_a_database_that_dies_after_the_commit_makes_no_failure(
    guards: Guards, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit is done, its predecessor is not acknowledged, and asking for it fails: the answer is `pending`."""
    ana, ben = people(2)
    first = dispatch(FollowUser(ana, ben)).event_id
    assert late_marker().settle(10)
    guards.execute("update outbox set acked_offset = null, acked_at = null where event_id = %s", (first,))
    publish = dispatcher._publish

    def publish_later(*arguments: Any, **named: Any) -> None:
        _kill_connection(guards)
        publish(*arguments, **named)

    monkeypatch.setattr(dispatcher, "_publish", publish_later)
    outcome = dispatch(UnfollowUser(ana, ben))
    connections["default"].close()
    assert outcome.changed and outcome.position is None
    assert outbox_row(guards, outcome.event_id)[3] is None


def test_a_statement_that_takes_too_long_is_not_tried_again(guards: Guards, caplog: pytest.LogCaptureFixture) -> None:
    ana, ben = people(2)
    with guards.transaction(), connections["default"].cursor() as cursor:
        guards.execute("select from account where user_id = %s for update", (ana,))
        cursor.execute("set statement_timeout = 100")
        with pytest.raises(Unavailable):
            dispatch(FollowUser(ana, ben))
    connections["default"].close()
    assert "gave up after 1 attempts" in caplog.text


def _kill_connection(guards: Guards) -> None:
    connection = connections["default"].connection
    guards.execute("select pg_terminate_backend(%s, 5000)", (connection.info.backend_pid,))
