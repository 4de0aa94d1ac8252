"""Claim: whatever two people's devices and two servers' clocks do at once, one history of the two explains everything.

64 commands at a time on the servers of test_clocks.py, whose clocks differ by 300 ms: a block against a follow,
requests against approvals, refusals and withdrawals, a block against an approval, follows against an account's becoming
private.
Oracle: the log's events one after another by id, each decided anew from what all before it left: the same event must
come out; the guards are what the last one left, and the read model's own fold says the same in both orders of the log.
Cannot catch: what a projector does with its database (tests/runtime), clocks that jump while a process runs.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations, cycle, islice
from uuid import UUID

import msgspec
import pytest

from command_api.accounts.commands.edit_profile import EditProfile
from command_api.decision import Pair, State, evolve, state_of
from command_api.dispatch import dispatch
from command_api.relationships.commands.approve_follow import ApproveFollow
from command_api.relationships.commands.block_user import BlockUser
from command_api.relationships.commands.follow_user import FollowUser
from command_api.relationships.commands.reject_follow import RejectFollow
from command_api.relationships.commands.unblock_user import UnblockUser
from command_api.relationships.commands.unfollow_user import UnfollowUser
from command_api.routing import HANDLERS, Command
from projectors.graph.fold import PROJECTION as GRAPH
from schemas.types import (
    Event,
    FollowApproved,
    FollowRejected,
    FollowRequested,
    ProfileEdited,
    UserBlocked,
    UserFollowed,
    UserRegistered,
    UserUnblocked,
    UserUnfollowed,
)
from shared.environment import Environment
from tests.command_api.people import people
from tests.command_api.test_clocks import (
    AT_ONCE,
    ROUNDS,
    Asked,
    Guards,
    Servers,
    folded,
    ids_in,
    read,
    two_servers,
)
from tests.model.log import LogReader

Relationship = (
    UserFollowed | UserUnfollowed | FollowRequested | FollowApproved | FollowRejected | UserBlocked | UserUnblocked
)


@pytest.fixture(scope="module")
def skewed(command_side: Environment) -> Iterator[Servers]:
    with two_servers() as servers:
        yield servers


@pytest.fixture
def log(command_side: Environment) -> Iterator[LogReader]:
    reader = LogReader(command_side)
    yield reader
    reader.close()


def command_of(event: Relationship) -> Command:
    """The command that this event is the answer to."""
    match event:
        case UserFollowed() | FollowRequested():
            return FollowUser(event.subject_id, event.followee_id)
        case UserUnfollowed():
            return UnfollowUser(event.subject_id, event.followee_id)
        case FollowApproved():
            return ApproveFollow(event.subject_id, event.follower_id)
        case FollowRejected():
            return RejectFollow(event.subject_id, event.follower_id)
        case UserBlocked():
            return BlockUser(event.subject_id, event.blocked_id)
        case UserUnblocked():
            return UnblockUser(event.subject_id, event.blocked_id)


def of_these(log: LogReader, folk: Sequence[UUID]) -> list[Event]:
    """What happened to these people and between them, in the log's order."""
    kinds = Relationship | ProfileEdited | UserRegistered
    return [event for event in read(log) if isinstance(event, kinds) and event.subject_id in folk]


def replayed(events: Sequence[Event]) -> State:
    """What the events leave, by id, when each is decided anew and comes out the same."""
    state = State()
    for event in sorted(events, key=lambda one: one.event_id):
        if isinstance(event, Relationship):
            command = command_of(event)
            draft = HANDLERS[type(command)].decide(command, state)
            assert isinstance(draft, Event), f"{event} changes nothing"
            assert msgspec.structs.replace(draft, event_id=event.event_id, occurred_at=event.occurred_at) == event
        evolve(state, event)
    return state


def check_guards(guards: Guards, state: State, folk: Sequence[UUID]) -> None:
    """The guards hold exactly these rows, and no follow or request stands across a block."""
    of = ([*folk], [*folk])
    rows = guards.execute(
        "select follower_id, followee_id, active, last_event, requested from follow"
        " where follower_id = any(%s) and followee_id = any(%s)",
        of,
    ).fetchall()
    assert set(rows) == {msgspec.structs.astuple(row) for row in state.follows.values()}
    rows = guards.execute(
        "select from_id, to_id, active, last_event from block where from_id = any(%s) and to_id = any(%s)", of
    ).fetchall()
    assert set(rows) == {msgspec.structs.astuple(row) for row in state.blocks.values()}
    for one, other in combinations(folk, 2):
        if state.are_apart(one, other):
            follows = [state.follow(one, other), state.follow(other, one)]
            assert not [row for row in follows if row is not None and (row.active or row.requested)]


def check_read_model(events: Sequence[Event], state: State) -> None:
    """The graph's fold says of each pair what the guards say, in whatever order the partitions are read."""
    follows = {pair: (row.active, row.requested) for pair, row in state.follows.items() if row.active or row.requested}
    blocks = {pair for pair, row in state.blocks.items() if row.active}
    for order in (events, events[::-1]):
        rows = {(row["from_id"], row["to_id"]): row for row in folded(GRAPH, order).rows("relation")}
        of = {pair: (bool(row["follows"]), bool(row["requested"])) for pair, row in rows.items()}
        assert {pair: said for pair, said in of.items() if any(said)} == follows
        assert {pair for pair, row in rows.items() if row["blocks"]} == blocks
        assert {pair[::-1] for pair, row in rows.items() if row["blocked_by"]} == blocks
        counted = {pair for pair, row in rows.items() if row["follows"] and not row["blocks"] and not row["blocked_by"]}
        assert counted == {pair for pair, (active, _) in follows.items() if active}


def shares_of(pairs: Sequence[Pair], kinds: Sequence[str]) -> tuple[list[Asked], list[Asked]]:
    """64 commands, half to a server, of each pair every kind and on both servers.

    A kind is what the first of a pair does to the second, or with `<` the second to the first.
    """
    asked: list[Asked] = []
    for number, kind in enumerate(islice(cycle(kinds), AT_ONCE)):
        one, other = pairs[number // len(kinds) % len(pairs)]
        asked.append((kind[1:], other, one) if kind.startswith("<") else (kind, one, other))
    return asked[::2], asked[1::2]


CONTESTS = {
    "block against follow": (False, ["follow", "<block", "<unblock"]),
    "block against follow, both ways": (
        False,
        ["follow", "<follow", "block", "<block", "unblock", "<unblock", "unfollow"],
    ),
    "request against answers": (True, ["follow", "<approve", "unfollow", "<reject", "unfollow", "<approve"]),
    "block against approve": (True, ["follow", "<approve", "<block", "follow", "<unblock"]),
    "the follower's block against approve": (True, ["follow", "<approve", "block", "follow", "unblock"]),
}


@pytest.mark.parametrize("number", [1, 6], ids=["one pair", "six pairs"])
@pytest.mark.parametrize(("private", "kinds"), CONTESTS.values(), ids=CONTESTS)
def test_one_history_explains_everything(
    skewed: Servers, guards: Guards, log: LogReader, private: bool, kinds: list[str], number: int
) -> None:
    folk = people(2 * number)
    pairs = list(zip(folk[::2], folk[1::2], strict=True))
    if private:
        for _, followee in pairs:
            assert dispatch(EditProfile(actor_id=followee, private=True)).changed
    made = [answer for _ in range(ROUNDS) for answer in skewed.at_once(*shares_of(pairs, kinds))]
    assert {answer for answer in made if answer and "-" not in answer} <= {"NotFound"}
    events = of_these(log, folk)
    happened = [event for event in events if isinstance(event, Relationship)]
    assert sorted(event.event_id for event in happened) == ids_in(made) and happened
    state = replayed(events)
    check_guards(guards, state, folk)
    check_read_model(events, state)
    for subject in folk:
        mine = [event.event_id for event in happened if event.subject_id == subject]
        assert mine == sorted(mine), "each has to do with one other alone: the log keeps their order"


def test_follows_while_an_account_becomes_private_and_public(skewed: Servers, guards: Guards, log: LogReader) -> None:
    """A follow that was let in may have a later id than the edit that it came before; a request may not."""
    ana, *followers = people(9)
    kinds = ["follow", "<private", "unfollow", "<public"]
    pairs = [(follower, ana) for follower in followers]
    made = [answer for _ in range(ROUNDS) for answer in skewed.at_once(*shares_of(pairs, kinds))]
    events = of_these(log, [ana, *followers])
    assert sorted(e.event_id for e in events if not isinstance(e, UserRegistered)) == ids_in(made)
    edits = [event for event in events if isinstance(event, ProfileEdited)]
    assert [e.event_id for e in edits] == sorted(e.event_id for e in edits)
    assert [e.private for e in edits] == [n % 2 == 0 for n in range(len(edits))], "each changes something"
    for event in events:
        if isinstance(event, FollowRequested):
            assert edits[0].event_id < event.event_id
    state = state_of(sorted(events, key=lambda one: one.event_id))
    check_guards(guards, state, [ana, *followers])
    check_read_model(events, state)
    guard = guards.execute("select private, last_event from account where user_id = %s", (ana,)).fetchone()
    assert guard == (edits[-1].private, edits[-1].event_id)
