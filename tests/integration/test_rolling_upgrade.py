"""Old and new workers side by side: an added field stops nobody, a new event type stops the old ones alone, and loudly.

Claim: while workers of two releases share one group and the producer goes from the old schemas to the new ones, every
event is applied once; an event type that the old release does not know is never passed over by an old worker, and all
is applied once the old one is replaced.
Oracle: the reference model over the events produced. Real Kafka, registry and PostgreSQL, real worker processes of the
counters: each runs the code of today on a copy of the schemas as its release has them (other subjects than the
product's, so that nothing of this stays). Cannot catch: a fold whose code differs between two releases.
"""

import json
import shutil
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import msgspec
import psycopg
import pytest

from projectors.counters.fold import PROJECTION
from schemas import generate
from schemas.catalogue import HERE, event_schemas, read_schemas
from schemas.codec import Codec
from schemas.contract import Contract
from schemas.registration import open_codec, register
from schemas.releases import release
from schemas.types import EVENT_TYPES, Event, PostLiked, PostPublished, PostShared, UserRegistered
from shared.environment import Environment
from shared.ids import time_of
from tests.model.found import rows_of
from tests.model.reference import Model
from tests.model.tables import TABLES, VIEWS, Difference, compare
from tests.runtime.engine import Engine, Ids, Log, own_engine
from tests.runtime.workers import Workers, wait_until

SECONDS = 120.0
KNOWN = {"UserRegistered", "PostPublished", "PostLiked"}  # to both releases
NOT_FILLED = {"counters.comment", "counters.bookmark", "counters.comment_count"}
NEW_FIELD = {"name": "from_notification", "type": "boolean", "default": False, "doc": "Whether a notice led there."}
# The release's schemas are found before the repository's own.
WORKER = """
import sys
sys.path.insert(0, {folder!r})
sys.argv = ["live", "counters"]
from schemas.catalogue import HERE
assert str(HERE).startswith({folder!r}), HERE
from projectors.runtime.live import main
main()
"""


@dataclass(frozen=True)
class Release:
    """A copy of the schemas package, and what a process of that release knows."""

    folder: Path
    contract: Contract

    @property
    def worker(self) -> tuple[str, str]:
        return "-c", WORKER.format(folder=str(self.folder))


def release_of(folder: Path, namespace: str, events: set[str]) -> Path:
    """The schemas of today in a folder of their own, under other subjects, of these events alone."""
    package = folder / "schemas"
    shutil.copytree(HERE, package, ignore=shutil.ignore_patterns("__pycache__", "released", "examples"))
    for path in package.glob("events/*/*.avsc"):
        avro = json.loads(path.read_text())
        if avro["name"] not in events:
            path.unlink()
        else:
            path.write_text(json.dumps(avro | {"namespace": f"{namespace}.{avro['topic']}"}))
    (package / "released").mkdir()
    release(read_schemas(package), package)
    return package


@pytest.fixture
def releases(tmp_path: Path) -> tuple[Release, Release]:
    """The old one does not know shares. The new one does, and a like says one thing more."""
    namespace = f"rolling-{uuid4().hex[:8]}".replace("-", "_")
    old = release_of(tmp_path / "old", namespace, KNOWN)
    new = release_of(tmp_path / "new", namespace, KNOWN | {"PostShared"})
    liked = new / "events" / "engagement" / "post_liked.avsc"
    avro = json.loads(liked.read_text())
    liked.write_text(json.dumps(avro | {"fields": [*avro["fields"], NEW_FIELD]}))
    (path,) = release(["PostLiked"], new)
    assert path.name == "0002.avsc"
    # The old one keeps today's types, since its folds are today's; it is its schemas that decide what it knows.
    (new / "types.py").write_text(generate.source(event_schemas() | read_schemas(new)))
    made = [Release(package.parent, Contract(read_schemas(package), EVENT_TYPES)) for package in (old, new)]
    return made[0], made[1]


@pytest.fixture
def engine(servers: Environment) -> Iterator[Engine]:
    with own_engine(PROJECTION) as made:
        yield made


class Producer(Log):
    """Appends events as the command API of a release does."""

    def __init__(self, engine: Engine, of: Release) -> None:
        super().__init__(engine.environment)
        url = engine.environment.schema_registry_url
        register(url, of.contract.schemas)
        self.codec: Codec = open_codec(url, of.contract)


# A like with the field that the new release adds.
FullerLike = msgspec.defstruct(
    "PostLiked", [("from_notification", bool, True)], bases=(PostLiked,), frozen=True, gc=False, kw_only=True
)


def fuller(likes: Iterable[PostLiked]) -> list[Event]:
    """The same likes as the new release writes them."""
    made: list[Any] = [FullerLike(**msgspec.structs.asdict(like)) for like in likes]
    return made


class Town:
    """A few people, their posts, likes and shares of all of them."""

    def __init__(self) -> None:
        self.ids = Ids(11)
        self.people = self.ids.many(6)
        self.posts: list[PostPublished] = []

    def _by(self, person: UUID) -> dict[str, Any]:
        event_id = self.ids()
        return {"event_id": event_id, "occurred_at": time_of(event_id), "subject_id": person}

    def arrives(self) -> list[Event]:
        """Everybody registers and publishes four posts."""
        arrived: list[Event] = [
            UserRegistered(**self._by(person), username=f"user{nth}", display_name="Ann")
            for nth, person in enumerate(self.people)
        ]
        for person in self.people * 4:
            by = self._by(person)
            post = PostPublished(**by, post_id=by["event_id"], content="text", hashtags="", visibility="public")
            self.posts.append(post)
        return [*arrived, *self.posts]

    def likes(self) -> list[PostLiked]:
        """Everybody likes every post once more."""
        return [
            PostLiked(**self._by(person), post_id=post.post_id, post_author_id=post.subject_id, reaction="like")
            for post in self.posts
            for person in self.people
        ]

    def shares(self) -> list[PostShared]:
        """One person shares every post."""
        by = [(post, self._by(self.people[0])) for post in self.posts]
        return [
            PostShared(**each, share_id=each["event_id"], post_id=post.post_id, post_author_id=post.subject_id)
            for post, each in by
        ]


def applied(engine: Engine) -> int:
    """The records applied so far, all partitions together."""
    [(number,)] = engine.rows("select coalesce(sum(next_offset), 0)::int from counters.position")
    return int(number)


def owners(engine: Engine) -> set[str]:
    """The process ids of the workers that hold the partitions of likes."""
    held = engine.rows("select owner from counters.position where topic = 'engagement'")
    return {owner.rpartition(":")[2] for (owner,) in held}


def differences(engine: Engine, events: Iterable[Event], not_filled: Set[str] = NOT_FILLED) -> list[Difference]:
    """Where the counters are not what the reference model makes of these events."""
    model = Model(list(events))
    found: list[Difference] = []
    with psycopg.connect(engine.environment.read_database_url) as connection:
        for table in (*TABLES, *VIEWS):
            if table.name.startswith("counters."):
                compared, _, some = compare(table, model, rows_of(connection, table))
                assert compared or table.name in not_filled, f"nothing to compare in {table.name}"
                found += some
    return found


def test_workers_of_two_releases_share_a_group(
    engine: Engine, workers: Workers, releases: tuple[Release, Release]
) -> None:
    old, new = releases
    town = Town()
    produced: list[Event] = town.arrives()
    Producer(engine, old).append(produced)

    def all_applied() -> bool:
        lost = [worker.text() for worker in pair if worker.process.poll() is not None]
        assert not lost, lost[0]
        return applied(engine) == len(produced)

    pair = [workers.start(*old.worker), workers.start(*old.worker)]
    wait_until(SECONDS, all_applied)

    # Workers first: one is replaced, and knows more than anybody writes.
    pair[1].kill()
    register(engine.environment.schema_registry_url, new.contract.schemas)
    pair[1] = workers.start(*new.worker)
    wait_until(SECONDS, lambda: owners(engine) == {str(each.process.pid) for each in pair})
    likes = town.likes()
    Producer(engine, old).append(likes)
    produced += likes
    wait_until(SECONDS, all_applied)

    # The producer is replaced too early: its likes say more than the old worker knows of, which stops nobody.
    producer = Producer(engine, new)
    likes = town.likes()
    producer.append(fuller(likes))
    produced += likes
    wait_until(SECONDS, all_applied)
    assert owners(engine) == {str(each.process.pid) for each in pair}, "both had a share in it"
    assert differences(engine, produced, NOT_FILLED | {"counters.share"}) == []

    # What the old worker does not know at all it does not pass over: it stops, and says so.
    shares, likes = town.shares(), town.likes()
    producer.append([*shares, *fuller(likes)])
    produced += [*shares, *likes]
    wait_until(SECONDS, lambda: "PostShared, which this process does not know" in pair[0].text())

    # Once it is replaced, everything has been applied once.
    pair[0].kill()
    pair[0] = workers.start(*new.worker)
    wait_until(SECONDS, all_applied)
    assert differences(engine, produced) == []
