"""Claim: what one command of a batch makes private, blocks or lets in holds for the next, and locks are held for it.

On a real PostgreSQL and Kafka; the oracle is the same commands one after another. Cannot catch: what happens at once
from several processes (test_clocks_relationships.py).
"""

from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.db import connections

from command_api.accounts.commands.edit_profile import EditProfile
from command_api.dispatch import dispatch, dispatch_batch
from command_api.posts.commands.add_comment import AddComment
from command_api.posts.commands.publish_post import PublishPost
from command_api.reactions.commands.bookmark_post import BookmarkPost
from command_api.reactions.commands.like_post import LikePost
from command_api.relationships.commands.approve_follow import ApproveFollow
from command_api.relationships.commands.block_user import BlockUser
from command_api.relationships.commands.follow_user import FollowUser
from command_api.relationships.commands.mute_user import MuteUser
from command_api.relationships.commands.reject_follow import RejectFollow
from command_api.relationships.commands.unblock_user import UnblockUser
from command_api.relationships.commands.unmute_user import UnmuteUser
from command_api.routing import Command
from schemas.types import FollowRequested, UserFollowed
from shared.errors import NotFound, Unavailable
from tests.command_api.people import people

Guards = psycopg.Connection[Any]


def kinds(commands: list[Command]) -> list[str | None]:
    """What became of each command of a batch: its event's name, None for nothing, the refusal's name."""
    found: list[str | None] = []
    for outcome in dispatch_batch(commands):
        said = outcome.rejection or outcome.event
        found.append(type(said).__name__ if said else None)
        assert outcome.rejection or outcome.position
    return found


def one_by_one(commands: list[Command]) -> list[str | None]:
    return [kind for command in commands for kind in kinds([command])]


@pytest.mark.parametrize("carry_out", [kinds, one_by_one], ids=["in a batch", "one by one"])
def test_becoming_private_holds_for_what_comes_after_it(carry_out: Any) -> None:
    ana, ben, cleo = people(3)
    post = dispatch(PublishPost(actor_id=ana, content="for whom?")).event_id
    follow: Command = FollowUser(ben, ana)
    commands = [
        *(follow, LikePost(cleo, post), EditProfile(actor_id=ana, private=True)),
        *(LikePost(ben, post), BookmarkPost(cleo, post), FollowUser(cleo, ana), FollowUser(cleo, ana), follow),
        *(ApproveFollow(ana, cleo), ApproveFollow(ana, cleo), BookmarkPost(cleo, post)),
    ]
    assert carry_out(commands) == [
        *("UserFollowed", "PostLiked", "ProfileEdited"),
        *("PostLiked", "NotFound", "FollowRequested", None, None),
        *("FollowApproved", "NotFound", "PostBookmarked"),
    ]


@pytest.mark.parametrize("carry_out", [kinds, one_by_one], ids=["in a batch", "one by one"])
def test_a_block_holds_for_what_comes_after_it(carry_out: Any) -> None:
    ana, ben, cleo = people(3)
    post, other = (dispatch(PublishPost(actor_id=who, content="hello")).event_id for who in (ana, cleo))
    comment = dispatch(AddComment(actor_id=ana, post_id=other, content="first")).event_id
    answer = AddComment(actor_id=ben, post_id=other, content="so", parent_id=comment)
    commands: list[Command] = [
        *(FollowUser(ben, ana), MuteUser(ben, ana), BlockUser(ana, ben), BlockUser(ana, ben)),
        *(LikePost(ben, post), answer, FollowUser(ben, ana), MuteUser(ana, ben), UnmuteUser(ben, ana)),
        *(UnblockUser(ana, ben), LikePost(ben, post), answer, FollowUser(ben, ana)),
    ]
    assert carry_out(commands) == [
        *("UserFollowed", "UserMuted", "UserBlocked", None),
        *("NotFound", "NotFound", "NotFound", "NotFound", "UserUnmuted"),
        *("UserUnblocked", "PostLiked", "CommentAdded", "UserFollowed"),
    ]


def test_a_repeated_block_or_request_tells_the_first_one_s_position() -> None:
    ana, ben = people(2)
    assert dispatch(EditProfile(actor_id=ben, private=True)).changed
    command: Command
    for command in (FollowUser(ana, ben), MuteUser(ana, ben), BlockUser(ana, ben)):
        first, second = dispatch(command), dispatch(command)
        assert first.changed and not second.changed
        assert (second.event_id, second.position) == (first.event_id, first.position)


def test_one_person_s_edits_are_in_the_order_they_were_made_whatever_the_clocks() -> None:
    from shared import clock

    (ana,) = people()
    first = dispatch(EditProfile(actor_id=ana, bio="a"), now=clock.now() + 60_000_000)
    second = dispatch(EditProfile(actor_id=ana, private=True), now=clock.now() - 60_000_000)
    assert second.event_id > first.event_id


def test_nobody_is_let_in_unasked_once_an_account_is_said_to_be_private(guards: Guards) -> None:
    """The edit waits for the follows under way, which have read that the account is public; other edits do not."""
    ana, ben = people(2)
    with guards.transaction(), connections["default"].cursor() as cursor:
        guards.execute("select from account where user_id = %s for key share", (ana,))  # as a follow of hers does
        assert dispatch(EditProfile(actor_id=ana, bio="at once")).changed
        cursor.execute("set statement_timeout = 200")
        with pytest.raises(Unavailable):
            dispatch(EditProfile(actor_id=ana, private=True))
    connections["default"].close()
    assert isinstance(dispatch(FollowUser(ben, ana)).event, UserFollowed)
    assert dispatch(EditProfile(actor_id=ana, private=True)).changed
    (cleo,) = people()
    assert isinstance(dispatch(FollowUser(cleo, ana)).event, FollowRequested)


@pytest.mark.parametrize("locked", [0, 1], ids=["the actor's", "the other's"])
@pytest.mark.parametrize("command", [BlockUser, UnblockUser, ApproveFollow, RejectFollow])
def test_what_is_in_both_people_s_rows_waits_for_what_either_does(guards: Guards, command: Any, locked: int) -> None:
    ana, ben, cleo = people(3)
    assert dispatch(EditProfile(actor_id=ana, private=True)).changed
    assert isinstance(dispatch(FollowUser(ben, ana)).event, FollowRequested)
    with guards.transaction(), connections["default"].cursor() as cursor:
        guards.execute("select from account where user_id = %s for no key update", ((ana, ben)[locked],))
        cursor.execute("set statement_timeout = 200")
        with pytest.raises(Unavailable):
            dispatch(command(ana, ben))
    connections["default"].close()
    assert dispatch(FollowUser(cleo, ana)).changed
    assert dispatch(command(ana, ben)).changed is (command is not UnblockUser)


def test_guards_of_blocks_are_found_by_either_of_the_pair(guards: Guards) -> None:
    ana, ben, cleo = people(3)
    block = dispatch(BlockUser(ana, ben)).event_id
    mute = dispatch(MuteUser(ana, cleo)).event_id
    for table, other, event_id in (("block", ben, block), ("mute", cleo, mute)):
        statement = f"select from_id, to_id, active, last_event from {table} where from_id = %s".encode()
        expected: list[tuple[UUID, UUID, bool, UUID]] = [(ana, other, True, event_id)]
        assert guards.execute(statement, (ana,)).fetchall() == expected
    with pytest.raises(NotFound):
        dispatch(FollowUser(ben, ana))
    with pytest.raises(NotFound):
        dispatch(FollowUser(ana, ben))
    assert dispatch(FollowUser(ana, cleo)).changed
