"""What happens in a small society that reads its home feeds, from one seed; events are made by tests/properties."""

from collections.abc import Sequence
from random import Random

from schemas.types import Event
from tests.properties.histories import BEGIN, LEAVING, MODERATING, REACTIONS, STEPS, Action, society

PEOPLE = 7
ACTIONS = 150
FOLLOWS_AT_FIRST, POSTS_AT_FIRST = 20, 12
APART = 7_919_003  # microseconds between the beginnings of two histories: no id is in both

# How often each happens, among those that follow the beginning.
WEIGHTS = {
    "publish": 30, "share": 40, "unshare": 9, "delete": 4, "rewrite": 5, "like": 22, "unlike": 5, "comment": 8,
    "withdraw": 3, "edit": 2, "follow": 26, "unfollow": 5, "request": 1, "approve": 3, "reject": 1, "block": 2,
    "unblock": 5, "mute": 7, "unmute": 5, "erase": 0.4, "hold": 2, "hide": 2, "remove": 1, "restore": 4, "score": 5,
    "deactivate": 0.7, "reactivate": 2, "suspend": 0.5, "unsuspend": 2, "ask erasure": 0.4, "stay": 2,
}  # fmt: skip


def history(seed: int) -> list[Event]:
    """In the order of their ids; edges of every kind between few people, and posts that all of them may know."""
    dice = Random(seed)

    def anybody() -> int:
        return dice.randrange(PEOPLE)

    def author() -> int:
        """Some write much more than others."""
        return min(anybody(), anybody())

    published = 0

    def some_post() -> int:
        """One of those so far: commands refuse what is about a post that is not there."""
        return dice.randrange(max(1, published))

    def arguments(verb: str) -> Action:
        match verb:
            case "publish":
                visibility = dice.choice(["public"] * 4 + ["followers", "private"])
                about = [dice.choice([None] * 4 + [some_post()]) if published else None for _ in ("reply", "quote")]
                return (author(), visibility, *about, [])
            case "comment":
                return (anybody(), some_post(), None, [])
            case "like":
                return (anybody(), some_post(), dice.choice(REACTIONS))
            case "unlike" | "share" | "unshare":
                return (anybody(), some_post())
            case "rewrite":
                return (some_post(), [])
            case "delete" | "withdraw":
                return (some_post(),)
            case "edit":
                return (anybody(), None, None, dice.choice([True, False, False]))
            case "score":
                return (True, dice.randrange(min(10, max(1, published))))
            case _ if verb in MODERATING:
                return (dice.random() < 0.9, some_post())
            case _ if verb in LEAVING or verb == "erase":
                return (anybody(),)
        return (anybody(), anybody())

    verbs = dice.choices(list(WEIGHTS), weights=list(WEIGHTS.values()), k=ACTIONS)
    first = ["follow"] * FOLLOWS_AT_FIRST + ["publish"] * POSTS_AT_FIRST
    script = []
    for verb in [*first, *verbs]:
        script.append((verb, arguments(verb), dice.choice(STEPS[:3])))
        published += verb == "publish"
    return society([True] * PEOPLE, script, BEGIN + seed * APART)


def parts(dice: Random, events: Sequence[Event], count: int) -> list[list[Event]]:
    """The same in so many parts, the first of them longer than the others."""
    cuts = sorted(dice.randrange(len(events) // 3, len(events)) for _ in range(count - 1))
    return [list(events[begin:end]) for begin, end in zip([0, *cuts], [*cuts, len(events)], strict=True)]
