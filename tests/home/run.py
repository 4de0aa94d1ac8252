"""Lives through histories, and compares every page that people are given with the reference model.

    python -m tests.home.run --seed N --histories COUNT [--plant BUG]

Everything comes from the seed: what happens, in which batches it is applied, what befalls the workers, who reads when.
Between two rests the log grows, workers advance, die and repeat themselves, the threshold changes, Redis is flushed and
people read; at a rest everything is applied, and what is owed may still be owed. Prints what happened as one JSON
object; the first difference goes to standard error, with the seed that repeats it, and exit status 3. Run by
tests/home/test_histories.py, which names the servers.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from random import Random
from uuid import UUID

from projectors.feed.fold import PROJECTION as FEED
from schemas.types import Event
from shared.environment import environment
from shared.ids import micros_of, time_of
from tests.home import DIFFERENT, planting
from tests.home.histories import history, parts
from tests.home.reading import PAGES_MAX, STEPS_OF_A_REFILL, Answer, Readers, Shown, expected
from tests.home.workers import Workers, readers_of, unpacked_sets
from tests.model.home import Item
from tests.model.reference import Model
from tests.model.sets import greatest

RESTS = 3
LIMITS = (1, 2, 3, 5, 8, 50)
SORTS = ("recent", "ranked")
READERS_COMPARED = 3
SESSIONS_MAX = 4
HOUR = 3_600_000_000


class Different(Exception):
    """A page is not what it must be; the message says whose, and how."""


@dataclass
class Session:
    """Pages that somebody is in the middle of, while the world goes on."""

    reader_id: UUID
    sort: str
    limit: int
    answer: Answer
    items: list[Shown] = field(default_factory=list)


class Life:
    """One history on these workers, seen by these readers."""

    def __init__(self, seed: int, workers: Workers, readers: Readers, did: Counter[str]) -> None:
        self.seed = seed
        self.dice = Random(seed)
        self.workers = workers
        self.readers = readers
        self.did = did
        self.events = history(seed)
        self.people = readers_of(self.events)
        self.sessions: list[Session] = []
        self.ranked_max = environment().ranked_items_max

    def live(self) -> None:
        self.workers.begin(self.dice)
        self.readers.between.awaited = self.workers.catch_up
        happened: list[Event] = []
        for nth, part in enumerate(parts(self.dice, self.events, RESTS)):
            if nth == RESTS - 1 and self.dice.random() < 0.5:
                self._page_by_page(happened, part)
            else:
                self._between_rests(part)
            happened += part
            self._rest(Model(happened))
        self.did["events"] += len(happened)

    def _page_by_page(self, happened: Sequence[Event], part: Sequence[Event]) -> None:
        """Something happens between two pages, and is there before the next: what stays where it is, is shown once."""
        self.workers.in_use()
        model = Model(happened)
        readers = [each for each in self.people if model.feeds.home(each)]
        self.sessions = [
            Session(each, sort, 2, self.readers.get(each, sort, 2)) for each in readers[:2] for sort in SORTS
        ]
        as_of = {each: model.feeds.home(each)[0].item_id for each in readers}
        staying = {each: _standing(model, each, as_of[each]) for each in readers}
        left = list(part)
        for session in self.sessions:
            self._take(session)
        while any(each.answer.following for each in self.sessions):
            count = self.dice.randint(0, 6)
            self.workers.happened(left[:count])
            happened, left = [*happened, *left[:count]], left[count:]
            self.workers.settle()
            self.workers.in_use()
            model = Model(happened)
            for reader_id in staying:
                staying[reader_id] &= _standing(model, reader_id, as_of[reader_id])
            for session in self.sessions:
                if session.answer.following:
                    following = session.answer.following
                    session.answer = self.readers.get(session.reader_id, session.sort, 2, following)
                    self._take(session)
        for session in self.sessions:
            if session.answer.status != 200:
                continue
            shown = Counter(item.post_id for item in session.items)
            wrong = {item.post_id for item in staying[session.reader_id] if shown[item.post_id] != 1}
            self.did["stayed"] += len(staying[session.reader_id])
            if wrong:
                raise Different(f"a session of {session.reader_id} by {session.sort} skipped or repeated {wrong}")
        self.sessions = []
        self.workers.happened(left)

    def _between_rests(self, part: Sequence[Event]) -> None:
        left = list(part)
        while left:
            count = self.dice.randint(1, 30)
            self.workers.happened(left[:count])
            left = left[count:]
            for _ in range(self.dice.randint(3, 14)):
                if self.dice.random() < 0.4:
                    with self.readers.between.everywhere(self._perhaps):
                        self._read()
                else:
                    self.workers.something()

    def _perhaps(self) -> None:
        if self.dice.random() < 0.5:
            self.workers.something()

    def _read(self) -> None:
        """Somebody begins a session, or asks for its next page."""
        self.readers.now = time_of(self.events[-1].event_id) + self.dice.randint(-4 * HOUR, 4 * HOUR)
        if len(self.sessions) < SESSIONS_MAX and self.dice.random() < 0.5:
            reader, sort, limit = self.dice.choice(self.people), self.dice.choice(SORTS), self.dice.choice(LIMITS)
            if self.dice.random() < 0.5:
                self.workers.feeds.cool(reader)
            session = Session(reader, sort, limit, self.readers.get(reader, sort, limit))
            self._take(session)
            self.sessions.append(session)
        elif self.sessions:
            session = self.dice.choice(self.sessions)
            following = session.answer.following
            session.answer = self.readers.get(session.reader_id, session.sort, session.limit, following)
            self._take(session)
        self.sessions = [each for each in self.sessions if each.answer.following]

    def _take(self, session: Session) -> None:
        """The newest page of a session: nobody is refused for good, nothing comes twice, recency goes back in time."""
        answer = session.answer
        self.did["pages meanwhile"] += 1
        self.did[f"{answer.cache or 'none'} meanwhile"] += 1
        if answer.status not in (200, 401) and not (answer.status == 410 and session.sort == "ranked"):
            raise Different(f"{session.reader_id} was answered {answer.status}")
        session.items += answer.items
        posts = [item.post_id for item in session.items]
        if session.sort == "ranked" and len(posts) != len(set(posts)):
            raise Different(f"a ranked session of {session.reader_id} repeated a post: {_twice(posts)}")
        if session.sort == "recent":
            times = [item.at for item in session.items]
            if times != sorted(times, reverse=True):
                raise Different(f"{session.reader_id} was shown something newer on a later page")

    def _rest(self, model: Model) -> None:
        self.workers.settle()
        self.did["owed at rest"] += self.workers.owed()
        readers = self.dice.sample(self.people, min(READERS_COMPARED, len(self.people)))
        self._compare(model, readers)
        self.workers.in_use()
        self._flushed_in_a_refill(model, self.dice.choice(self.people))
        self.workers.in_use()
        self._compare(model, readers)
        if self.dice.random() < 0.5:
            self.workers.finish()
            self._compare(model, readers)

    def _flushed_in_a_refill(self, model: Model, reader_id: UUID) -> None:
        """At one of its steps Redis loses everything; the projector may notice at once, or later."""
        self.workers.feeds.cool(reader_id)
        noticed = self.dice.random() < 0.5

        def lose() -> None:
            self.did["flushed in a refill"] += 1
            self.workers.flush()
            if noticed:
                self.workers.in_use()

        step = self.seed % STEPS_OF_A_REFILL
        with self.readers.between.once(step, lose):
            self._compare(model, [reader_id])

    def _compare(self, model: Model, readers: Sequence[UUID]) -> None:
        for reader_id in readers:
            for sort in self.dice.sample(SORTS, len(SORTS)):
                self._compare_pages(model, reader_id, sort, self.dice.choice(LIMITS))

    def _compare_pages(self, model: Model, reader_id: UUID, sort: str, limit: int) -> None:
        self.readers.now = begun = time_of(self.events[-1].event_id) + self.dice.randint(-4 * HOUR, 4 * HOUR)
        there = reader_id in model.persons and reader_id not in model.away
        answer = self.readers.get(reader_id, sort, limit)
        if not there or answer.status != 200:
            self.did["refused"] += 1
            if there or answer.status != 401:
                raise Different(f"{reader_id} was answered {answer.status}")
            return
        wanted = expected(model, reader_id, sort, begun, self.ranked_max)
        found: list[Shown] = []
        for _ in range(PAGES_MAX):
            self.did["pages"] += 1
            self.did[answer.cache] += 1
            if answer.status != 200:
                # An order was lost with Redis, at the step of a refill that this is about.
                if answer.status == 410 and self.readers.between.happening is not None:
                    return
                raise Different(f"{reader_id} was answered {answer.status} for a later page")
            if sort == "ranked" and answer.ranked_at and micros_of(datetime.fromisoformat(answer.ranked_at)) != begun:
                raise Different(f"a session of {reader_id} began at {begun}, and says {answer.ranked_at}")
            if len(answer.items) > limit:
                raise Different(f"a page of {limit} has {len(answer.items)} items")
            found += answer.items
            if answer.following is None:
                break
            self.readers.now += self.dice.randint(0, HOUR)
            answer = self.readers.get(reader_id, sort, limit, answer.following)
        self.did["items"] += len(found)
        self.did["below the floor"] += max(0, len(found) - environment().feed_items_max)
        self.did["beyond the ranked"] += max(0, len(found) - self.ranked_max) if sort == "ranked" else 0
        if found != wanted:
            raise Different(_difference(reader_id, sort, limit, wanted, found))


def _standing(model: Model, reader_id: UUID, as_of: UUID) -> set[Item]:
    """The posts of a feed, each at its newest item that is not newer than that one."""
    items = (item for item in model.feeds.home_items(reader_id) if item.item_id <= as_of)
    newest = greatest((item.post_id, item.item_id) for item in items)
    return {Item(item_id, post_id) for post_id, item_id in newest.items()}


def _twice(posts: Sequence[UUID]) -> list[str]:
    return [str(post) for post, count in Counter(posts).items() if count > 1]


def _difference(reader_id: UUID, sort: str, limit: int, wanted: list[Shown], found: list[Shown]) -> str:
    """The first place that differs, and what is absent, too much or there twice."""
    place = next(
        (nth for nth, (one, other) in enumerate(zip(wanted, found, strict=False)) if one != other),
        min(len(wanted), len(found)),
    )
    posts, there = [each.post_id for each in wanted], [each.post_id for each in found]
    lines = [
        f"{reader_id} by {sort}, pages of {limit}: place {place} of {len(wanted)} differs",
        f"  expected {wanted[place] if place < len(wanted) else 'nothing'}",
        f"  found    {found[place] if place < len(found) else 'nothing'}",
        f"  absent   {[str(each) for each in posts if each not in there]}",
        f"  too much {[str(each) for each in there if each not in posts]}",
        f"  twice    {_twice(there)}",
    ]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.home.run")
    parser.add_argument("--seed", type=int, required=True, help="of the first history")
    parser.add_argument("--histories", type=int, required=True)
    parser.add_argument("--plant", choices=sorted(planting.BUGS), help="a bug that must be found")
    arguments = parser.parse_args()
    did: Counter[str] = Counter()
    seeds = range(arguments.seed, arguments.seed + arguments.histories)
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner() as runner:
        feed = planting.plant(arguments.plant, Path(folder)) if arguments.plant else FEED
        readers = Readers()
        workers = Workers(environment(), runner, feed)
        workers.make()
        try:
            with unpacked_sets(workers):
                for seed in seeds:
                    workers.did = did
                    try:
                        Life(seed, workers, readers, did).live()
                    except (Different, AssertionError) as different:
                        sys.stderr.write(f"history {seed} differs (--seed {seed} --histories 1): {different}\n")
                        return DIFFERENT
        finally:
            workers.load(FEED)
            workers.close()
    json.dump({"histories": arguments.histories, "first_seed": arguments.seed, **dict(sorted(did.items()))}, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
