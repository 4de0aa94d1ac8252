"""An endless random history from one seed: small communities, several at a time, whose events come mixed.

Each is a society of tests/properties/histories.py, larger and with a few posts that most attention goes to, under ids
of its own. All event types occur, those by which events of two partitions reach one row (blocks, approvals, erasures)
among them, and much that commands would refuse: likes older than their post, people who act after their erasure.
"""

import random
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import msgspec

from schemas.types import Event, RoleGranted, RoleRevoked, UserRegistered
from shared.ids import mint, time_of
from tests.properties.histories import LEAVING, MODERATING, REACTIONS, STEPS, Action, society

PEOPLE = 24
ACTIONS = 1_200
AT_ONCE = 4
ROLES_EVERY = 50
# Above what the histories put into the random part of their ids.
COMMUNITY_SHIFT = 16
WEIGHTS = {
    "publish": 12, "comment": 15, "like": 40, "unlike": 8, "follow": 12, "unfollow": 4, "edit": 2, "read": 3,
    "delete": 2, "rewrite": 4, "reword": 3, "withdraw": 4, "keep": 5, "let go": 2, "request": 3, "approve": 4,
    "reject": 1, "block": 3, "unblock": 3, "mute": 2, "unmute": 2, "share": 8, "unshare": 3,
    "deactivate": 1, "reactivate": 2, "suspend": 1, "unsuspend": 2, "ask erasure": 1, "stay": 2,
    "hold": 2, "hide": 2, "remove": 2, "restore": 2, "score": 6,
}  # fmt: skip


class History:
    """Events without end, each community's in the order of their ids; the same for the same seed.

    Once it is to end, what has begun is told to its end and nothing new begins: a like whose post is never published is
    more than any command would let happen, and no count knows of it.
    """

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)
        self._number = AT_ONCE
        self._streams = [community(self._dice, each) for each in range(AT_ONCE)]
        self.ends = False

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        while self._streams:
            index = self._dice.randrange(len(self._streams))
            event = next(self._streams[index], None)
            if event is not None:
                return event
            if self.ends:
                del self._streams[index]
            else:
                self._streams[index] = community(self._dice, self._number)
                self._number += 1
        raise StopIteration


def community(dice: random.Random, number: int) -> Iterator[Event]:
    """All events of one community; one of its people is erased halfway, another in the end."""
    script: list[Action] = [_action(dice, verb) for verb in ["publish", *_verbs(dice, ACTIONS)]]
    script.insert(len(script) // 2, ("erase", (PEOPLE - 1,), STEPS[0]))
    script.append(("erase", (PEOPLE - 2,), STEPS[0]))
    for index, event in enumerate(society([True] * PEOPLE, script)):
        moved = _moved(event, number)
        if isinstance(moved, UserRegistered):
            moved = msgspec.structs.replace(moved, username=f"c{number}_{moved.username}")
        yield moved
        if index % ROLES_EVERY == 0:
            event_id = mint(time_of(moved.event_id), random=dice.randbytes(8))
            kinds: list[Any] = [RoleGranted, RoleRevoked]
            yield dice.choice(kinds)(
                event_id=event_id, occurred_at=time_of(event_id), subject_id=moved.subject_id, role="moderator"
            )  # fmt: skip


def _verbs(dice: random.Random, number: int) -> list[str]:
    return dice.choices(list(WEIGHTS), list(WEIGHTS.values()), k=number)


def _action(dice: random.Random, verb: str) -> Action:
    return verb, _arguments(dice, verb), dice.choice(STEPS[:3])


def _arguments(dice: random.Random, verb: str) -> Action:
    def anybody() -> int:
        return dice.randrange(PEOPLE)

    def some() -> int:
        """One of all posts, or comments; the first ones far more often than the last."""
        return int(dice.random() ** 3 * ACTIONS)

    def mentioned() -> list[int]:
        return dice.sample(range(PEOPLE), dice.choice([0, 0, 1, 2]))

    match verb:
        case "publish":
            visibility = dice.choice(["public", "public", "followers", "private"])
            return (anybody(), visibility, dice.choice([None, some()]), dice.choice([None, None, some()]), mentioned())
        case "comment":
            return (anybody(), some(), dice.choice([None, some()]), mentioned())
        case "like":
            return (anybody(), some(), dice.choice(REACTIONS))
        case "unlike" | "keep" | "let go" | "share" | "unshare":
            return (anybody(), some())
        case "rewrite" | "reword":
            return (some(), mentioned())
        case "delete" | "withdraw":
            return (dice.randrange(ACTIONS),)
        case _ if verb in LEAVING:
            return (anybody(),)
        case _ if verb in MODERATING:
            return (dice.choice([True, False]), some())
        case "edit":
            return (anybody(), "Ana", "a bio", dice.choice([None, True, False]))
        case "read":
            return (anybody(), [dice.randrange(30)], dice.choice([None, some()]))
    return (anybody(), anybody())


def _moved(event: Event, number: int) -> Event:
    """The event with the community's own ids; an id keeps its time."""

    def moved(value: Any) -> Any:
        if isinstance(value, UUID):
            return UUID(int=value.int ^ (number + 1) << COMMUNITY_SHIFT)
        return tuple(map(moved, value)) if isinstance(value, tuple) else value

    fields = {name: moved(getattr(event, name)) for name in event.__struct_fields__}
    return type(event)(**fields)
