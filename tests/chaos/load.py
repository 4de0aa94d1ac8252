"""People who write while something breaks: each waits for an answer, and repeats what failed with the same key.

What was accepted is remembered in order, as what the log must then hold.
"""

import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import httpx
import psycopg

from shared import clock

REACTIONS = ("like", "love", "laugh", "wow", "sad", "angry")
REQUEST_SECONDS_MAX = 60.0
PAUSE_SECONDS = 0.08
RETRY_SECONDS = 0.3
PULSE_SECONDS = 0.02
GIVE_UP_SECONDS = 150.0
# A write waits for its turn on a busy machine twice as often as a pulse, which does not pass through the command API.
PULSES_A_WRITE = 2


class Person(NamedTuple):
    user_id: UUID
    username: str
    access: str


class Ground(NamedTuple):
    """Where people write, and what tells how slow the machine is; `pulse_url` answers without any server."""

    gateway_url: str
    pulse_url: str
    database_url: str


class Reply(NamedTuple):
    """One answer, as the client saw it; `status` is 0 where the connection broke."""

    at: float  # time.monotonic() when the request was sent
    status: int
    milliseconds: float
    retry_after: str | None
    detail: str


# An aggregate is what has a guard row, and so an order, of its own: (topic, id it is partitioned by), but of comments
# ("comments", its id); a fact is what tells one event of an actor's from the next.
Aggregate = tuple[str, UUID]
Fact = tuple[str, ...]


@dataclass
class Load:
    """All that happened: every reply, and per actor and aggregate the facts accepted, in the order of their answers."""

    began: int = field(default_factory=clock.now)  # microseconds since 1970
    replies: list[Reply] = field(default_factory=list)
    accepted: dict[tuple[UUID, Aggregate], list[Fact]] = field(default_factory=lambda: defaultdict(list))
    failures: list[str] = field(default_factory=list)
    pulse: list[tuple[float, float]] = field(default_factory=list)  # see `_pulse`

    def statuses(self) -> Counter[int]:
        return Counter(reply.status for reply in self.replies)

    def milliseconds(self, *statuses: int) -> list[float]:
        return sorted(reply.milliseconds for reply in self.replies if reply.status in statuses)

    def accepted_writes(self) -> int:
        return sum(map(len, self.accepted.values()))

    def slowest(self, statuses: Sequence[int] = (200, 201, 202)) -> float:
        return max(self.milliseconds(*statuses), default=0.0)

    def beyond(self, status: int, milliseconds_max: float) -> list[float]:
        """How long those answers took that were later than this by more than the machine itself was at the time."""
        late = []
        for reply in self.replies:
            if reply.status == status and reply.milliseconds > milliseconds_max:
                ended = reply.at + reply.milliseconds / 1000
                stalls = [took for at, took in self.pulse if at < ended and at + took / 1000 > reply.at]
                if reply.milliseconds - PULSES_A_WRITE * max(stalls, default=0.0) > milliseconds_max:
                    late.append(reply.milliseconds)
        return late

    def summary(self) -> str:
        """Answers by status with the distribution of their milliseconds."""
        lines = []
        for status, count in sorted(self.statuses().items()):
            times = self.milliseconds(status)
            p50, p99 = times[count // 2], times[min(count - 1, int(count * 0.99))]
            lines.append(f"{status}: {count} (p50 {p50:.0f} ms, p99 {p99:.0f}, max {times[-1]:.0f})")
        lines.append(f"the machine's own delay {max((took for _, took in self.pulse), default=0.0):.0f} at most")
        return ", ".join(lines)


class Writer:
    """One person's client: one request at a time, on one connection."""

    def __init__(self, gateway_url: str, person: Person, load: Load, lock: threading.Lock) -> None:
        self.person = person
        self._load = load
        self._lock = lock
        self._client = httpx.Client(
            base_url=f"{gateway_url}/api/v1/",
            timeout=REQUEST_SECONDS_MAX,
            headers={"Authorization": f"Bearer {person.access}"},
        )

    def write(self, method: str, path: str, body: Any, key: str | None = None) -> httpx.Response:
        """The answer that accepts it, after as many attempts as that takes; all with one idempotency key."""
        key = key or uuid4().hex
        deadline = time.monotonic() + GIVE_UP_SECONDS
        retried = {503}
        while True:
            answer = self.ask(method, path, body, key)
            if answer is not None and answer.status_code in (200, 201, 202):
                return answer
            if answer is None:
                retried.add(409)  # what was not answered may still be under way
            elif answer.status_code not in retried:
                raise AssertionError(f"{method} {path} answered {answer.status_code}: {answer.text[:300]}")
            if time.monotonic() > deadline:
                raise AssertionError(f"{method} {path} was not accepted within {GIVE_UP_SECONDS} s")
            time.sleep(RETRY_SECONDS)

    def ask(self, method: str, path: str, body: Any, key: str) -> httpx.Response | None:
        """One attempt; None where there was no answer."""
        began = time.monotonic()
        try:
            answer = self._client.request(method, path, json=body, headers={"Idempotency-Key": key})
        except httpx.HTTPError as error:
            self._note(Reply(began, 0, (time.monotonic() - began) * 1000, None, repr(error)))
            return None
        took = (time.monotonic() - began) * 1000
        detail = answer.text[:300] if answer.status_code >= 300 else ""
        self._note(Reply(began, answer.status_code, took, answer.headers.get("Retry-After"), detail))
        return answer

    def follows(self, other: Person) -> bool:
        """As the read models have it: before the first write they are settled."""
        answer = self._client.get(f"users/{other.username}/")
        assert answer.status_code == 200, answer.text
        return bool(answer.json()["viewer"]["following"])

    def accept(self, aggregate: Aggregate, *fact: str) -> None:
        with self._lock:
            self._load.accepted[self.person.user_id, aggregate].append(fact)

    def _note(self, reply: Reply) -> None:
        with self._lock:
            self._load.replies.append(reply)

    def close(self) -> None:
        self._client.close()


class Life:
    """What one writer does, again and again; every step changes something, so that every accepted one is an event."""

    def __init__(self, writer: Writer, followed: Person, posts: list[UUID], seed: int) -> None:
        self._writer = writer
        self._followed = followed
        self._posts = posts  # of all writers; none of them is ever deleted
        self._random = random.Random(seed)
        self._number = 0
        self._mine: list[UUID] = []
        self._reactions: dict[UUID, str | None] = {}
        self._follows = writer.follows(followed)

    def step(self) -> None:
        chosen = self._random.random()
        if not self._mine or chosen < 0.3:
            self._publish()
        elif chosen < 0.5:
            self._edit()
        elif chosen < 0.75:
            self._react()
        elif chosen < 0.9:
            self._comment()
        else:
            self._follow()

    def _text(self) -> str:
        self._number += 1
        return f"{self._writer.person.username} {self._number} {uuid4().hex}"

    def _publish(self) -> None:
        text = self._text()
        post_id = UUID(self._writer.write("POST", "posts/", {"content": text}).json()["id"])
        self._writer.accept(("posts", post_id), "PostPublished", text)
        self._mine.append(post_id)
        self._posts.append(post_id)

    def _edit(self) -> None:
        post_id, text = self._random.choice(self._mine[-3:]), self._text()
        self._writer.write("PATCH", f"posts/{post_id}/", {"content": text})
        self._writer.accept(("posts", post_id), "PostEdited", text)

    def _comment(self) -> None:
        post_id, text = self._random.choice(self._posts[-20:]), self._text()
        comment_id = UUID(self._writer.write("POST", f"posts/{post_id}/comments/", {"content": text}).json()["id"])
        self._writer.accept(("comments", comment_id), "CommentAdded", text)

    def _react(self) -> None:
        post_id = self._random.choice(self._posts[-5:])
        before = self._reactions.get(post_id)
        if before is not None and self._random.random() < 0.4:
            self._writer.write("DELETE", f"posts/{post_id}/like/", None)
            self._writer.accept(("engagement", post_id), "PostUnliked")
            self._reactions[post_id] = None
            return
        reaction = self._random.choice([each for each in REACTIONS if each != before])
        self._writer.write("POST", f"posts/{post_id}/like/", {"reaction": reaction})
        self._writer.accept(("engagement", post_id), "PostLiked", reaction)
        self._reactions[post_id] = reaction

    def _follow(self) -> None:
        path, follows = f"users/{self._followed.username}/follow/", self._follows
        self._writer.write("DELETE" if follows else "POST", path, None if follows else {})
        self._writer.accept(("graph", self._writer.person.user_id), "UserUnfollowed" if follows else "UserFollowed")
        self._follows = not follows


def _pulse(ground: Ground, load: Load, enough: threading.Event) -> None:
    """How long an empty request and an empty durable commit take: what a write takes beyond that is its own."""
    with httpx.Client(timeout=REQUEST_SECONDS_MAX) as client:
        while not enough.wait(PULSE_SECONDS):
            try:
                with psycopg.connect(ground.database_url) as database:
                    while not enough.wait(PULSE_SECONDS):
                        began = time.monotonic()
                        client.get(ground.pulse_url)
                        database.execute("select pg_logical_emit_message(true, 'pulse', '')")
                        database.commit()
                        load.pulse.append((began, (time.monotonic() - began) * 1000))
            except (httpx.HTTPError, psycopg.OperationalError):
                continue  # what is asked is itself being broken


@contextmanager
def writing(ground: Ground, people: Sequence[Person], followed: Person) -> Iterator[Load]:
    """The people write until the block ends and their last write is accepted; then nobody may have failed."""
    load, lock, posts, enough = Load(), threading.Lock(), list[UUID](), threading.Event()

    def live(writer: Writer, life: Life) -> None:
        try:
            while not enough.is_set():
                life.step()
                enough.wait(PAUSE_SECONDS)
        except BaseException as error:  # told where the block ends
            load.failures.append(repr(error))
        finally:
            writer.close()

    threads = [threading.Thread(target=_pulse, args=(ground, load, enough), daemon=True)]
    for number, person in enumerate(people):
        writer = Writer(ground.gateway_url, person, load, lock)
        life = Life(writer, followed, posts, number)
        threads.append(threading.Thread(target=live, args=(writer, life), daemon=True))
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        enough.set()
        for thread in threads:
            thread.join(GIVE_UP_SECONDS + REQUEST_SECONDS_MAX)
    said = {reply.detail for reply in load.replies[-20:] if reply.detail}
    assert not load.failures, (load.failures, load.summary(), said)
    assert not any(thread.is_alive() for thread in threads)
