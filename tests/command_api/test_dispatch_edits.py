"""Edits, deletions and bookmarks under concurrency: guards and log agree on what was first.

On a real PostgreSQL and Kafka. Cannot catch: what happens when either dies in the middle (tests/chaos).
"""

from functools import partial
from typing import Any

import psycopg

from command_api.dispatch import Outcome, dispatch, dispatch_batch
from command_api.posts.commands.add_comment import AddComment
from command_api.posts.commands.delete_comment import DeleteComment
from command_api.posts.commands.edit_comment import EditComment
from command_api.posts.commands.edit_post import EditPost
from command_api.posts.commands.publish_post import PublishPost
from command_api.reactions.commands.bookmark_post import BookmarkPost
from command_api.reactions.commands.share_post import SharePost
from command_api.reactions.commands.unbookmark_post import UnbookmarkPost
from command_api.reactions.commands.unshare_post import UnsharePost
from command_api.routing import Command
from schemas.types import CommentDeleted, PostEdited, PostShared, PostUnshared
from shared import clock
from shared.errors import NotFound
from tests.command_api.people import log_of, outbox_row, people
from tests.command_api.test_dispatch import attempt, in_threads

Guards = psycopg.Connection[Any]


def test_an_answer_and_the_deletion_of_what_it_answers_agree_which_was_first() -> None:
    ana, ben = people(2)
    post = dispatch(PublishPost(actor_id=ana, content="now or never")).event_id
    for _ in range(12):
        comment = dispatch(AddComment(actor_id=ana, post_id=post, content="well?")).event_id
        answer = AddComment(actor_id=ben, post_id=post, parent_id=comment, content="just in time")
        added, deleted = in_threads([partial(attempt, answer), partial(attempt, DeleteComment(ana, comment))])
        assert isinstance(deleted, Outcome) and isinstance(deleted.event, CommentDeleted)
        if isinstance(added, Outcome):
            assert added.event_id < deleted.event_id
        else:
            assert isinstance(added, NotFound)


def test_many_edits_at_once_leave_the_guard_at_the_newest_and_tell_each_mention_once(guards: Guards) -> None:
    ana, ben, cleo = people(3)
    post = dispatch(PublishPost(actor_id=ana, content="first")).event_id
    named = (("ben", ben), ("cleo", cleo))
    commands: list[Command] = [
        EditPost(actor_id=ana, post_id=post, content=f"{number} @ben" + " @cleo" * (number % 2), people=named)
        for number in range(24)
    ]
    outcomes: list[Outcome] = in_threads([partial(dispatch, command) for command in commands])
    events = [outcome.event for outcome in outcomes if isinstance(outcome.event, PostEdited)]
    assert len(events) == 24
    assert sorted(each for event in events for each in event.newly_mentioned_ids) == sorted([ben, cleo])
    row = guards.execute("select last_event, mentioned_ids from post where post_id = %s", (post,)).fetchone()
    newest = max(event.event_id for event in events)
    assert row is not None and (row[0], sorted(row[1])) == (newest, sorted([ben, cleo]))
    logged = [key[16:] for key, _ in log_of("posts", outbox_row(guards, post)[1]) if key[:16] == ana.bytes]
    assert logged == sorted(logged), "the log keeps the post's order"


def test_many_bookmarks_at_once_leave_the_guard_at_the_newest(guards: Guards) -> None:
    ana, ben = people(2)
    post = dispatch(PublishPost(actor_id=ana, content="keep me")).event_id
    commands: list[Command] = [BookmarkPost(ben, post) if n % 2 else UnbookmarkPost(ben, post) for n in range(32)]
    outcomes: list[Outcome] = in_threads([partial(dispatch, command) for command in commands])
    changed = sorted((outcome for outcome in outcomes if outcome.changed), key=lambda outcome: outcome.event_id)
    kinds = [type(outcome.event).__name__ for outcome in changed]
    assert kinds == ["PostBookmarked", "PostUnbookmarked"] * (len(kinds) // 2) + ["PostBookmarked"] * (len(kinds) % 2)
    row = guards.execute("select active, last_event from bookmark where actor_id = %s", (ben,)).fetchone()
    assert row == (kinds[-1] == "PostBookmarked", changed[-1].event_id)


def test_many_shares_at_once_take_turns_and_are_withdrawn_by_their_own_ids(guards: Guards) -> None:
    ana, ben = people(2)
    post = dispatch(PublishPost(actor_id=ana, content="share me")).event_id
    commands: list[Command] = [SharePost(ben, post) if n % 2 else UnsharePost(ben, post) for n in range(32)]
    outcomes: list[Outcome] = in_threads([partial(dispatch, command) for command in commands])
    events = [outcome.event for outcome in sorted(outcomes, key=lambda outcome: outcome.event_id) if outcome.event]
    kinds = [type(event).__name__ for event in events]
    assert kinds == ["PostShared", "PostUnshared"] * (len(kinds) // 2) + ["PostShared"] * (len(kinds) % 2)
    shares = [event.share_id for event in events if isinstance(event, PostShared | PostUnshared)]
    assert shares[1::2] == shares[: len(shares) // 2 * 2 : 2] and len(set(shares[::2])) == len(shares[::2])
    row = guards.execute("select active, share_id, last_event from share where actor_id = %s", (ben,)).fetchone()
    assert row == (kinds[-1] == "PostShared", shares[-1], events[-1].event_id)


def test_one_batch_may_edit_and_delete_the_same_comment(guards: Guards) -> None:
    ana, ben = people(2)
    post = dispatch(PublishPost(actor_id=ana, content="here")).event_id
    comment = dispatch(AddComment(actor_id=ben, post_id=post, content="one")).event_id
    commands: list[Command] = [
        EditComment(actor_id=ben, comment_id=comment, content="two"),
        EditComment(actor_id=ben, comment_id=comment, content="two"),
        DeleteComment(ben, comment),
        EditComment(actor_id=ben, comment_id=comment, content="three"),
        DeleteComment(ben, comment),
    ]
    outcomes = dispatch_batch(commands, clock.now)
    assert [outcome.changed for outcome in outcomes] == [True, False, True, False, False]
    assert isinstance(outcomes[3].rejection, NotFound) and outcomes[4].event_id == outcomes[2].event_id
    row = guards.execute("select deleted, last_event, digest from comment where comment_id = %s", (comment,)).fetchone()
    assert row == (True, outcomes[2].event_id, "")
