"""What happens in a run: a small society's events as real records, and when each is appended."""

from collections import defaultdict
from collections.abc import Sequence
from functools import cache
from itertools import zip_longest
from random import Random
from typing import Any, NamedTuple
from uuid import UUID

from projectors.runtime.projection import PostgresProjection
from projectors.runtime.reading import Reader
from projectors.runtime.stores.port import Partition
from schemas.catalogue import event_schemas
from schemas.codec import Codec
from schemas.types import Event
from shared.kafka import partition_of, record_key
from tests.properties.histories import LEAVING, MODERATING, PEOPLE, REACTIONS, STEPS, person_id, society
from tests.simulation.chance import Chance

# What concerns each projection, and how often it is drawn.
VERBS = {
    "profiles": {"edit": 12, "suspend": 2, "unsuspend": 2, "deactivate": 1, "reactivate": 1, "erase": 1, "publish": 1},
    "graph": {"follow": 6, "unfollow": 4, "request": 2, "approve": 4, "reject": 2, "block": 3, "unblock": 2, "mute": 2,
              "unmute": 1, "erase": 1},
    "posts": {"rewrite": 4, "reword": 3, "comment": 4, "withdraw": 2, "delete": 1, "publish": 2, "erase": 1,
              "hide": 2, "restore": 1, "score": 1},
    "counters": {"like": 8, "unlike": 4, "comment": 4, "withdraw": 2, "share": 2, "unshare": 1, "keep": 1, "delete": 1,
                 "publish": 1, "erase": 2, "remove": 1, "restore": 1},
    "notifications": {"like": 4, "unlike": 2, "comment": 3, "follow": 3, "unfollow": 1, "share": 2, "read": 3,
                      "block": 2, "unblock": 1, "mute": 1, "delete": 1, "erase": 1, "request": 1, "approve": 1},
}  # fmt: skip

ENDS = ("erase", "delete")  # after which nothing more is counted


class Append(NamedTuple):
    """One record and the second at which it is appended."""

    at: float
    partition: Partition
    key: bytes
    value: bytes
    event: Event


@cache
def codec() -> Codec:
    return Codec({name: number for number, name in enumerate(event_schemas(), 1)})


def plainly(subject_id: UUID, name: str, field: str, event_id: UUID, text: str) -> bytes:
    return text.encode()


def opened(subject_id: UUID, name: str, field: str, event_id: UUID, sealed: bytes) -> str:
    return sealed.decode()


class PlainReader(Reader):
    """The real codec; texts are bytes as they are, since whose key opens them is no matter here."""

    def __init__(self, projection: PostgresProjection) -> None:
        super().__init__(codec(), None)
        self._unseal = opened if projection.reads_text else None

    def read(self, values: Sequence[bytes]) -> list[Event]:
        return [codec().decode(value, self._unseal) for value in values]


def destination(event: Event, partitions: int) -> Partition:
    """As the command side chooses it (event_log/encoding.py)."""
    schema = event_schemas()[type(event).__name__]
    return Partition(schema.topic, partition_of(getattr(event, schema.partitioned_by), partitions))


def cast_of(partitions: int) -> list[int]:
    """Everybody, those first who are of different partitions: what few people do must meet from several of them."""
    placed: dict[int, list[int]] = defaultdict(list)
    for person in range(PEOPLE):
        placed[partition_of(person_id(person), partitions)].append(person)
    return [person for together in zip_longest(*placed.values()) for person in together if person is not None]


def events_of(random: Random, projection: str, partitions: int, chance: Chance) -> list[Event]:
    """A history: a few posts first, then whatever concerns the projection; events may refer to later ones."""
    crowd = cast_of(partitions)[: 2 if chance.storm else random.choice([2, 3, PEOPLE])]
    verbs = {verb: often for verb, often in VERBS[projection].items() if not (chance.storm and verb in ENDS)}
    drawn = ["publish"] * random.randint(1, 3)
    number = random.randint(16, 32) if chance.storm else random.randint(6, 26)
    drawn += random.choices(list(verbs), list(verbs.values()), k=number)
    if chance.farewell:
        drawn += ["erase", "delete", *random.choices(["erase", "delete"], k=random.randint(0, 2))]
    script = [(verb, _arguments(random, verb, crowd), random.choice(STEPS)) for verb in drawn]
    return society([random.random() < 0.9 for _ in range(PEOPLE)], script)


def _arguments(random: Random, verb: str, crowd: Sequence[int]) -> tuple[Any, ...]:
    def person() -> int:
        return random.choice(crowd)

    def two_people() -> tuple[int, ...]:
        return tuple(random.sample(crowd, 2))

    def any_post() -> int:
        return random.randrange(3)

    def perhaps_post() -> int | None:
        return random.choice([None, None, any_post()])

    def some_people() -> list[int]:
        return random.sample(crowd, random.randint(0, 1))

    match verb:
        case "edit":
            name, bio = random.choice([None, "Ana", "Ben"]), random.choice([None, "bio"])
            return person(), name, bio, random.choice([None, True, False])
        case "publish":
            visibility = random.choice(["public", "followers", "private"])
            return person(), visibility, perhaps_post(), perhaps_post(), some_people()
        case "delete" | "withdraw":
            return (any_post(),)
        case "comment":
            return person(), any_post(), perhaps_post(), some_people()
        case "rewrite" | "reword":
            return any_post(), some_people()
        case "like":
            return person(), any_post(), random.choice(REACTIONS)
        case "unlike" | "keep" | "let go" | "share" | "unshare":
            return person(), any_post()
        case "read":
            return person(), [random.randrange(30) for _ in range(random.randint(0, 2))], random.choice([None, 1, 9])
        case "erase":
            return (person(),)
        case _ if verb in LEAVING:
            return (person(),)
        case _ if verb in MODERATING:
            return random.random() < 0.5, any_post()
    return two_people()


def appends(chance: Chance, projection: PostgresProjection, partitions: int, seconds: float) -> list[Append]:
    """The records that the projection reads, each when it is appended: mostly in order, or in any."""
    random, storm = chance.random, chance.storm
    events = [
        event
        for event in events_of(random, projection.name, partitions, chance)
        if event_schemas()[type(event).__name__].topic in projection.topics
    ]
    disorder = 1.0 if storm else random.choice([0.0, 0.0, 0.3])
    # In one go, so that batches are long, or spread over the run.
    spread = seconds * (0.1 if storm else random.choice([0.02, 0.2, 1.0]))
    if chance.farewell:
        spread = seconds
    made = []
    for index, event in enumerate(events):
        at = spread * index / len(events) + disorder * random.uniform(0, spread)
        if chance.farewell:
            at = random.uniform(0, spread)  # an erasure in the midst of it, while older batches are under way
        value = codec().encode(event, plainly)
        key = record_key(event.subject_id, event.event_id)
        made.append(Append(at, destination(event, partitions), key, value, event))
    return sorted(made, key=lambda append: (append.at, append.key))
