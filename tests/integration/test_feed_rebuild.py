"""Claim: `rookery rebuild feed` makes all home feeds cold at once and right again, with no failed read and no worker's
restart, whatever Redis held; `--warm` fills the active readers' at once; one reader's feed is mended by `repair`.

Oracle: the reference model's home feeds; a reader that asks without pause, in a process of its own; items that the test
itself took out of Redis. Real Kafka, PostgreSQL and Redis, live workers, and the commands. Cannot catch: a Redis of
several nodes.
"""

import asyncio
import json
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from confluent_kafka import Producer

from projectors.catalogue import PROJECTIONS
from projectors.feed.fold import PROJECTION as FEED
from projectors.runtime.lag import wait_until_caught_up
from projectors.runtime.rebuild import alone
from schemas.catalogue import event_schemas
from schemas.registration import open_codec
from schemas.types import Event, PostShared, PostUnshared, UserFollowed, UserUnfollowed
from shared.environment import REPOSITORY, Environment
from shared.feed_store import shard_key, shard_of
from shared.ids import mint, time_of
from shared.kafka import PRODUCER_SETTINGS, partition_of, record_key
from tests.model.installation import PARTITIONS, Installation
from tests.model.reference import Model
from tests.model.test_verify import random_script
from tests.properties.histories import PEOPLE, society
from tests.runtime.engine import Engine
from tests.runtime.workers import Worker, wait_until

LIMIT = 60

# Asks for the pages of the people named, one after the other, until its standard input ends.
READS = """
import json, select, sys
from uuid import UUID
from query_api.feed.queries import home_recent_ids
readers = [UUID(text) for text in sys.argv[2:]]
while not select.select([sys.stdin], [], [], 0)[0]:
    for reader in readers:
        try:
            answer = {"items": [str(item.item_id) for item in home_recent_ids(reader, int(sys.argv[1]))]}
        except Exception as error:
            answer = {"error": repr(error)}
        print(json.dumps({"reader": str(reader), **answer}), flush=True)
"""


class Society:
    """A small society in an installation with live workers, and what has happened in it."""

    def __init__(self, installation: Installation, events: list[Event]) -> None:
        self.installation = installation
        self.events = events
        self.dice = random.Random(5)
        environment = installation.environment
        self._codec = open_codec(environment.schema_registry_url)
        self._producer = Producer({**PRODUCER_SETTINGS, "bootstrap.servers": environment.kafka_bootstrap_servers})
        self._now = max(time_of(event.event_id) for event in events)

    @property
    def people(self) -> list[UUID]:
        return sorted(Model(self.events).persons)

    def pages(self) -> dict[str, list[str]]:
        """What the model says that everybody's newest items are."""
        model = Model(self.events)
        return {str(who): [str(item.item_id) for item in model.feeds.home(who)[:LIMIT]] for who in model.persons}

    def go_on(self) -> None:
        """Somebody shares a post, or thinks better of it; somebody follows somebody, or ceases to."""
        self._now += 1_000_000
        event_id = mint(self._now, random=self.dice.randbytes(8))
        head: dict[str, Any] = {"event_id": event_id, "occurred_at": time_of(event_id)}
        model = Model(self.events)
        who, whom = self.dice.sample(sorted(model.persons), 2)
        event: Event
        if self.dice.random() < 0.3:
            kind = UserUnfollowed if (who, whom) in model.follows else UserFollowed
            event = kind(**head, subject_id=who, followee_id=whom)
        else:
            post_id, post = self.dice.choice(sorted(model.posts.items()))
            about = {**head, "subject_id": who, "post_id": post_id, "post_author_id": post.subject_id}
            shared = [
                each for each in self.events
                if isinstance(each, PostShared | PostUnshared) and (each.post_id, each.subject_id) == (post_id, who)
            ]  # fmt: skip
            last = max(shared, key=lambda each: each.event_id, default=None)
            if isinstance(last, PostShared):
                event = PostUnshared(**about, share_id=last.share_id)
            else:
                event = PostShared(**about, share_id=event_id)
        self.events.append(event)
        schema = event_schemas()[type(event).__name__]
        self._producer.produce(
            self.installation.environment.topic(schema.topic),
            self._codec.encode(event, lambda *_: b""),
            record_key(event.subject_id, event.event_id),
            partition=partition_of(getattr(event, schema.partitioned_by), PARTITIONS),
        )
        assert self._producer.flush(10) == 0

    def rookery(self, *arguments: str, expect: int = 0) -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, "-m", "infra.cli.main", *arguments, "--json"],
            cwd=REPOSITORY, env=self.installation.variables, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert done.returncode == expect, done.stderr[-3000:] + done.stdout[-2000:]
        answer: dict[str, Any] = json.loads(done.stdout) if done.stdout else {"refused": done.stderr}
        return answer

    def stand_before_counters(self) -> None:
        """Something of the engagement is in Redis, and in PostgreSQL not yet."""
        before = len(self.events)
        while not any(isinstance(event, PostShared | PostUnshared) for event in self.events[before:]):
            self.go_on()
        ends = {(p.topic, p.number): n for p, n in self._ends().items() if p.topic in FEED.topics}
        wait_until(60, lambda: self._feed_stands() == ends)

    def take_out(self, reader: UUID) -> str:
        """Takes the newest post that is seen out of a warm feed, with all its items, behind everybody's back."""
        shards = self.installation.environment.feed_shards
        key = shard_key(shard_of(reader, shards), f"feed:{reader.hex}")
        redis: Any = self.installation.redis
        post = Model(self.events).feeds.home(reader)[0].post_id.hex
        assert redis.zrem(key, *(each for each in redis.zrange(key, 0, -1) if each.endswith(post))) >= 1
        return str(UUID(post))

    def caught_up(self, workers: list[Worker]) -> None:
        done = asyncio.run(wait_until_caught_up(self.installation.environment, 90, projections=PROJECTIONS[:4]))
        assert done, "\n".join(worker.text() for worker in workers)
        ends = {(p.topic, p.number): n for p, n in self._ends().items() if p.topic in FEED.topics}
        wait_until(60, lambda: self._feed_stands() == ends)

    def _ends(self) -> Any:
        from projectors.runtime.log_ends import LogEnds

        ends = LogEnds(self.installation.environment)
        return ends.ends(ends.partitions(FEED.topics))

    def _feed_stands(self) -> dict[tuple[str, int], int]:
        redis: Any = self.installation.redis
        found: dict[tuple[str, int], int] = {}
        for shard in range(self.installation.environment.feed_shards):
            for name, value in redis.hgetall(shard_key(shard)).items():
                topic, _, number = name.rpartition(":")
                place, offset = (topic, int(number)), int(value.partition(":")[0])
                found[place] = min(offset, found.get(place, offset))
        return found


class Reads:
    """A process that asks for pages without pause."""

    def __init__(self, society_: Society, people: list[UUID]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", READS, str(LIMIT), *map(str, people)],
            cwd=REPOSITORY, env=society_.installation.variables, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.answers: list[dict[str, Any]] = []
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        self.answers.extend(map(json.loads, self._process.stdout))

    def more(self, number: int = 40) -> None:
        """Waits for so many further answers."""
        wanted = len(self.answers) + number
        wait_until(60, lambda: len(self.answers) >= wanted)

    def __enter__(self) -> "Reads":
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(20)
        self._thread.join(20)

    def __len__(self) -> int:
        return len(self.answers)


@pytest.fixture(scope="module")
def begun(servers: Environment, scratch_database: str) -> Iterator[Society]:
    events = society([True] * PEOPLE, random_script(random.Random(11)))
    made = Installation(servers, scratch_database)
    made.make()
    made.append(events)
    asyncio.run(made.project())
    yield Society(made, events)
    made.drop()


@pytest.fixture
def live(begun: Society, tmp_path: Path) -> Iterator[list[Worker]]:
    engine = Engine(begun.installation.environment, begun.installation.variables)
    started = [
        Worker(engine, tmp_path / f"{each.name}.log", ("-m", "projectors.runtime.live", each.name), {})
        for each in PROJECTIONS
        if each.name != "notifications"
    ]
    yield started
    for worker in started:
        worker.kill()


def test_all_feeds_are_made_anew_without_a_failed_read(begun: Society, live: list[Worker]) -> None:
    begun.caught_up(live)
    expected, people = begun.pages(), begun.people
    assert sum(map(bool, expected.values())) >= 3
    with Reads(begun, people) as reads:
        reads.more()
        lost = {str(who): begun.take_out(who) for who in people if expected[str(who)]}
        reads.more()
        damaged = {each["reader"] for each in reads.answers[-20:] if each["items"] != expected[each["reader"]]}
        assert damaged, f"{lost} shows nowhere"
        report = begun.rookery("rebuild", "feed")
        before = len(reads)
        reads.more()
        assert [each for each in reads.answers if "error" in each] == []
        assert [each for each in reads.answers[before:] if each["items"] != expected[each["reader"]]] == []
    assert report["verified"] is True and report["active"] >= 3 and report["compared"] >= 3
    assert all(name.endswith(".1") for name in report["incarnations"])

    # With writes going on, and everybody's feed filled at once.
    stop = threading.Event()

    written: list[BaseException | int] = []

    def write() -> None:
        try:
            while not stop.is_set():
                begun.go_on()
                written.append(len(begun.events))
                stop.wait(0.02)
        except Exception as error:
            written.append(error)

    with Reads(begun, people) as reads:
        writer = threading.Thread(target=write, daemon=True)
        writer.start()
        reads.more()
        report = begun.rookery("rebuild", "feed", "--warm")
        reads.more()
        stop.set()
        writer.join()
        assert len(written) > 20 and isinstance(written[-1], int), written[-1:]
        assert [each for each in reads.answers if "error" in each] == []
    assert report["verified"] is True and report["warmed"] == report["active"] >= 3
    begun.caught_up(live)
    assert [worker.process.poll() for worker in live] == [None] * len(live), "no worker was restarted"
    assert not any(worker.logged("refused") for worker in live)
    expected = begun.pages()
    with Reads(begun, people) as reads:
        reads.more()
        assert [each for each in reads.answers if each["items"] != expected[each["reader"]]] == []


def test_one_readers_feed_is_mended(begun: Society, live: list[Worker]) -> None:
    begun.caught_up(live)
    expected = begun.pages()
    reader = next(UUID(who) for who, items in expected.items() if items)
    with Reads(begun, [reader]) as reads:
        reads.more(3)
        begun.take_out(reader)
        reads.more(5)
        assert reads.answers[-1]["items"] != expected[str(reader)]
        assert begun.rookery("repair", "feed", "--key", str(reader), expect=3)["was"] == "warm"
        reads.more(3)
        assert reads.answers[-1]["items"] == expected[str(reader)]
    # While PostgreSQL is behind, feeds cannot be filled: it answers alone, and is not compared with itself.
    next(worker for worker in live if "counters" in str(worker.process.args)).kill()
    begun.stand_before_counters()
    report = begun.rookery("rebuild", "feed")
    assert report["verified"] is None and report["compared"] == 0 and report["not_compared"] >= 1


def test_a_second_one_and_what_has_no_sense_are_refused(begun: Society) -> None:
    with alone(begun.installation.environment, "feed"):
        assert "another rebuild" in begun.rookery("rebuild", "feed", expect=2)["refused"]
    assert "--warm and --json alone" in begun.rookery("rebuild", "feed", "--swap", expect=2)["refused"]
    assert "--warm is of the feed" in begun.rookery("rebuild", "counters", "--warm", expect=2)["refused"]
