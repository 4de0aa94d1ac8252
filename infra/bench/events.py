"""Appends millions of generated events to the log as fast as two cores can: skewed as people are, the same for a seed.

Who acts, and whose posts are acted on, is drawn by Zipf's law (weight 1/rank^0.8 of people, 1/rank of posts), and one
post is viral: it gets one like in twenty. A like comes from another person each time where that can be.

    python -m infra.bench.events likes|mix COUNT SEED
"""

import random
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import accumulate
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from confluent_kafka import Producer

from schemas.catalogue import event_schemas
from schemas.codec import Codec
from schemas.registration import open_codec
from schemas.types import (
    CommentAdded,
    Event,
    PostBookmarked,
    PostLiked,
    PostPublished,
    PostShared,
    PostUnliked,
    UserFollowed,
    UserRegistered,
)
from shared.crypto import KeyRing, new_data_key, wrap
from shared.environment import Environment, environment
from shared.ids import mint
from shared.kafka import PRODUCER_SETTINGS, partition_of, record_key

PEOPLE = 50_000
POSTS = 100_000
VIRAL_SHARE = 0.05
BEGAN = 1_760_000_000_000_000  # microseconds since 1970; the first event's time
STEP_MICROS = 200
CHUNK = 5_000
PROCESSES = 2
PERSON_SKEW, POST_SKEW = 0.8, 1.0
TEXT = "The jackdaws are back on the tower, and the whole town looks up. #rookery"

# Of a hundred events of the mix. People register and publish first, since nothing is liked before it is there.
MIX = {
    "like": 62,
    "unlike": 6,
    "comment": 12,
    "post": 8,
    "share": 5,
    "bookmark": 4,
    "follow": 3,
}


class Cast(NamedTuple):
    """Who and what there is: the same for every process with the same seed."""

    people: Sequence[UUID]
    posts: Sequence[UUID]
    authors: Sequence[UUID]  # of the posts

    @property
    def viral(self) -> UUID:
        return self.posts[0]


def cast(seed: int) -> Cast:
    chance = random.Random(f"{seed} cast")
    people = [mint(BEGAN - 10**12 + number * 1000, random=chance.randbytes(8)) for number in range(PEOPLE)]
    posts = [mint(BEGAN - 10**11 + number * 1000, random=chance.randbytes(8)) for number in range(POSTS)]
    return Cast(people, posts, chance.choices(people, cum_weights=_weights(PEOPLE, PERSON_SKEW), k=POSTS))


def _weights(number: int, skew: float) -> list[float]:
    return list(accumulate(1 / rank**skew for rank in range(1, number + 1)))


class Drawn(NamedTuple):
    """One event's ingredients."""

    event_id: UUID
    occurred_at: int
    actor: UUID
    post: UUID
    author: UUID


def draw(stage: Cast, seed: int, first: int, count: int) -> Iterator[Drawn]:
    """The ingredients of events number `first` and on, in the order of their ids."""
    chance = random.Random(f"{seed} {first}")
    posts = chance.choices(range(POSTS), cum_weights=_weights(POSTS, POST_SKEW), k=count)
    actors = chance.choices(range(PEOPLE), cum_weights=_weights(PEOPLE, PERSON_SKEW), k=count)
    viral = int(1 / VIRAL_SHARE)
    for number, (post, actor) in enumerate(zip(posts, actors, strict=True), first):
        if number % viral == 0:  # everybody in turn: an edge each, as far as there are people
            post, actor = 0, number // viral % PEOPLE
        at = BEGAN + number * STEP_MICROS
        event_id = mint(at, random=chance.randbytes(8))
        yield Drawn(event_id, at, stage.people[actor], stage.posts[post], stage.authors[post])


def like(drawn: Drawn) -> Event:
    return PostLiked(
        event_id=drawn.event_id,
        occurred_at=drawn.occurred_at,
        subject_id=drawn.actor,
        post_id=drawn.post,
        post_author_id=drawn.author,
        reaction="like" if drawn.event_id.int % 4 else "love",
    )


def mixed(kind: str, drawn: Drawn, other: UUID) -> Event:
    """An event of this kind of MIX; `other` is somebody else."""
    common: dict[str, Any] = {"event_id": drawn.event_id, "occurred_at": drawn.occurred_at, "subject_id": drawn.actor}
    at_post = common | {"post_id": drawn.post, "post_author_id": drawn.author}
    match kind:
        case "like":
            return like(drawn)
        case "unlike":
            return PostUnliked(**at_post)
        case "share":
            return PostShared(share_id=drawn.event_id, **at_post)
        case "bookmark":
            return PostBookmarked(**at_post)
        case "comment":
            return CommentAdded(comment_id=drawn.event_id, content=TEXT, mentioned_ids=(), **at_post)
        case "follow":
            return UserFollowed(followee_id=other, **common)
        case "post":
            return publish(drawn.event_id, drawn.occurred_at, drawn.actor)
    raise LookupError(kind)


def publish(post_id: UUID, at: int, author: UUID) -> Event:
    return PostPublished(
        event_id=post_id,
        occurred_at=at,
        subject_id=author,
        post_id=post_id,
        content=TEXT,
        visibility="public",
        language="en",
        media_ids=(),
        mentioned_ids=(),
        hashtags="rookery",
    )


class Log:
    """Appends in large batches; order within a partition is kept."""

    def __init__(self, where: Environment, linger_ms: int = 50) -> None:
        self._where = where
        self._partitions = where.topic_partitions
        self._codec: Codec = open_codec(where.schema_registry_url)
        self._keys = KeyRing(new_data_key(), lambda subjects: {}, keys_max=2 * PEOPLE, seconds=1e9)
        self._places = {name: (each.topic, each.partitioned_by) for name, each in event_schemas().items()}
        self._failed: list[object] = []
        settings = {"linger.ms": linger_ms, "batch.size": 1_000_000, "queue.buffering.max.messages": 500_000}
        self._producer = Producer({**PRODUCER_SETTINGS, **settings, "bootstrap.servers": where.kafka_bootstrap_servers})

    def add_key(self, person: UUID, key: bytes) -> None:
        self._keys.add(person, key)

    def append(self, event: Event) -> None:
        topic, _ = self._places[type(event).__name__]
        arguments = (self._where.topic(topic), self._codec.encode(event, self._keys.seal))
        key, partition = record_key(event.subject_id, event.event_id), self.partition(event)
        while True:
            try:
                self._producer.produce(*arguments, key=key, partition=partition, on_delivery=self._delivered)
                break
            except BufferError:
                self._producer.poll(0.1)

    def partition(self, event: Event) -> int:
        return partition_of(getattr(event, self._places[type(event).__name__][1]), self._partitions)

    def poll(self) -> None:
        """Takes in what the broker has answered, without waiting."""
        self._producer.poll(0)

    def flush(self) -> None:
        """Raises RuntimeError when the broker did not take everything."""
        left = self._producer.flush(120)
        if left or self._failed:
            raise RuntimeError(f"{left} events unanswered, {len(self._failed)} refused: {self._failed[:1]}")

    def _delivered(self, error: object, _: object) -> None:
        if error is not None:
            self._failed.append(error)


def key_of(person: UUID) -> bytes:
    """A data key that every process makes alike: what it seals is generated text."""
    return person.bytes * 2


def _append_likes(seed: int, span: tuple[int, int]) -> int:
    log, stage = Log(environment()), cast(seed)
    first, count = span
    for drawn in draw(stage, seed, first, count):
        log.append(like(drawn))
    log.flush()
    return count


def _append_mix(seed: int, span: tuple[int, int]) -> int:
    log, stage = Log(environment()), cast(seed)
    for person in stage.people:
        log.add_key(person, key_of(person))
    first, count = span
    chance = random.Random(f"{seed} mix {first}")
    kinds = chance.choices(list(MIX), weights=list(MIX.values()), k=count)
    for kind, drawn in zip(kinds, draw(stage, seed, first, count), strict=True):
        log.append(mixed(kind, drawn, stage.people[chance.randrange(PEOPLE)]))
    log.flush()
    return count


def _append_cast(seed: int) -> int:
    """Everybody's registration and key, and the posts that there are from the beginning."""
    where, stage = environment(), cast(seed)
    log, master_key = Log(where), bytes.fromhex(where.secrets["master_key"])
    with (
        psycopg.connect(where.vault_database_url, autocommit=True) as vault,
        vault.cursor() as cursor,
        cursor.copy("copy subject_key (subject_id, wrapped) from stdin") as rows,
    ):
        for person in stage.people:
            rows.write_row((person, wrap(master_key, person, key_of(person))))
            log.add_key(person, key_of(person))
    for number, person in enumerate(stage.people):
        at = BEGAN - 10**12 + number * 1000
        name = f"person{number}"
        log.append(UserRegistered(event_id=person, occurred_at=at, subject_id=person, username=name, display_name=name))
    for number, (post, author) in enumerate(zip(stage.posts, stage.authors, strict=True)):
        log.append(publish(post, BEGAN - 10**11 + number * 1000, author))
    log.flush()
    return PEOPLE + POSTS


def append(kind: str, count: int, seed: int) -> int:
    """Appends `count` events, for a mix also everybody and everything they act on; answers how many there are."""
    share = -(-count // PROCESSES)
    spans = [(first, min(share, count - first)) for first in range(0, count, share)]
    work: Callable[[tuple[int, int]], int] = partial(_append_mix if kind == "mix" else _append_likes, seed)
    with ProcessPoolExecutor(PROCESSES) as pool:
        before = pool.submit(_append_cast, seed).result() if kind == "mix" else 0
        return before + sum(pool.map(work, spans))


if __name__ == "__main__":
    print(append(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
