"""The demo's plan: the same seed, size and moment always give the same people and the same actions in the same order.

The people and their friendships are the real ego-Facebook graph (data/README.md); what they write and like is drawn
from a seeded random source. Nothing in the plan comes before its cause, every time is a whole microsecond used once,
and a reaction comes at least `REACTION_DELAY` after what it reacts to. A batch spans less than that, so that a batch
never names a post or comment whose id its own outcome will bring (ids are minted when an event is decided).

A plan is plain tuples: its 661,000 commands take about three seconds and 150 MB.
"""

import gzip
import heapq
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from random import Random
from typing import NamedTuple
from uuid import UUID

from infra.demo import words
from shared import ids

GRAPH = Path(__file__).parent / "data" / "ego-facebook.txt.gz"
SEED = 4039
PEOPLE = 4_039
POSTS_PER_PERSON = 10
LIKES = 400_000  # of the whole graph; a smaller one has its share
COMMENTS = 40_000

SECOND = 1_000_000  # all times are microseconds
HOUR = 3_600 * SECOND
DAY = 24 * HOUR
REGISTRATIONS_BEGIN = 8 * DAY  # before the plan's end
REGISTRATION_STEP = SECOND // 2
FOLLOWS_BEGIN = 8 * DAY - 2 * HOUR
WEEK = 7 * DAY
REACTION_DELAY = HOUR // 3
REACTION_MEAN = 5 * HOUR
BATCH_MAX = 1_000

POST, LIKE, COMMENT = 0, 1, 2
REACTIONS = ("like", "love", "laugh", "wow", "sad", "angry")
REACTION_WEIGHTS = (60, 20, 10, 5, 3, 2)
POPULARITY_MAX = 1_000.0  # times the least popular; without it one post would have a tenth of all comments
# How busy each hour of a (UTC) day is: quiet nights, a peak in the evening.
HOUR_WEIGHTS = (3, 2, 1, 1, 1, 2, 4, 7, 8, 8, 7, 7, 9, 8, 7, 7, 8, 9, 11, 13, 14, 13, 10, 6)


class Person(NamedTuple):
    at: int
    user_id: UUID
    username: str
    display_name: str
    email: str


class Follow(NamedTuple):
    at: int
    follower: int
    followee: int


class Post(NamedTuple):
    author: int
    text: str
    visibility: str
    reply_to: int | None
    quote_of: int | None


class Comment(NamedTuple):
    author: int
    post: int
    parent: int | None
    text: str


class Action(NamedTuple):
    """`target` is the index of a post (POST, LIKE) or of a comment (COMMENT); `reaction` of one of REACTIONS."""

    at: int
    kind: int
    actor: int
    target: int
    reaction: int


class Plan(NamedTuple):
    """People, posts and comments are named by their index here. Follows and actions are in time order."""

    people: list[Person]
    follows: list[Follow]
    posts: list[Post]
    comments: list[Comment]
    actions: list[Action]

    @property
    def size(self) -> int:
        return len(self.people) + len(self.follows) + len(self.actions)


def friendships(people: int = PEOPLE) -> list[tuple[int, int]]:
    """The graph's edges between its first `people` people, each once."""
    with gzip.open(GRAPH, "rt") as lines:
        pairs = (tuple(map(int, line.split())) for line in lines)
        return [(one, other) for one, other in pairs if one < people and other < people]


def plan(now: int, people: int = PEOPLE, seed: int = SEED) -> Plan:
    """Everything the demo's people do in the eight days before `now`."""
    # The size is part of the seed: people of plans of two sizes have different ids, and cannot be taken for each other.
    random = Random(f"{seed} {people}")
    edges = friendships(people)
    friends: list[list[int]] = [[] for _ in range(people)]
    for one, other in edges:
        friends[one].append(other)
        friends[other].append(one)
    persons = _people(now, people, random)
    follows = _follows(now, edges, random)
    posts, post_times = _posts(now, persons, friends, random)
    likes = _likes(now, posts, post_times, friends, LIKES * people // PEOPLE, random)
    comments, comment_actions = _comments(now, persons, posts, post_times, friends, COMMENTS * people // PEOPLE, random)
    posted = (Action(at, POST, posts[index].author, index, 0) for index, at in enumerate(post_times))
    return Plan(persons, follows, posts, comments, _one_at_a_time([*posted, *likes, *comment_actions]))


def batches(actions: Sequence[Action], size: int = BATCH_MAX) -> Iterator[Sequence[Action]]:
    """Consecutive actions, at most `size` and spanning less than the shortest reaction."""
    begin = 0
    while begin < len(actions):
        too_late = actions[begin].at + REACTION_DELAY - SECOND
        end = bisect_left(actions, too_late, begin, min(begin + size, len(actions)), key=lambda action: action.at)
        yield actions[begin:end]
        begin = end


def registered_at(now: int, index: int) -> int:
    return now - REGISTRATIONS_BEGIN + index * REGISTRATION_STEP


def moment_of(first_person: UUID) -> int:
    """The `now` of the plan whose first person has this id: a plan cut short is made again from what it left."""
    return ids.time_of(first_person) + REGISTRATIONS_BEGIN


def username(index: int) -> str:
    return f"{words.FIRST_NAMES[index % len(words.FIRST_NAMES)].lower()}{index}"


def _people(now: int, count: int, random: Random) -> list[Person]:
    persons = []
    for index in range(count):
        at = registered_at(now, index)
        name = username(index)
        display_name = f"{words.FIRST_NAMES[index % len(words.FIRST_NAMES)]} {random.choice(words.LAST_NAMES)}"
        user_id = ids.mint(at, random=random.randbytes(8))
        persons.append(Person(at, user_id, name, display_name, f"{name}@rookery.example"))
    return persons


def _follows(now: int, edges: Sequence[tuple[int, int]], random: Random) -> list[Follow]:
    begin, end = now - FOLLOWS_BEGIN, now - WEEK
    directed = [*edges, *((other, one) for one, other in edges)]
    drawn = sorted((random.randrange(begin, end), one, other) for one, other in directed)
    follows, last = [], 0
    for at, one, other in drawn:
        last = max(at, last + 1)
        follows.append(Follow(last, one, other))
    return follows


def _posts(
    now: int, persons: Sequence[Person], friends: Sequence[Sequence[int]], random: Random
) -> tuple[list[Post], list[int]]:
    """Authors are weighted by their friends; some posts mention, quote or answer."""
    count = len(persons) * POSTS_PER_PERSON
    authors = random.choices(range(len(persons)), [len(those) for those in friends], k=count)
    times = sorted(_moments(now, count, random))
    posts: list[Post] = []
    latest: dict[int, list[int]] = {}
    for index, author in enumerate(authors):
        friend = random.choice(friends[author])
        reply_to = quote_of = mention = None
        kind = random.random()
        if kind < 0.12:
            mention = persons[friend].username
        elif kind < 0.17:
            earlier = _reactable(latest.get(friend, ()), times, times[index])
            public = earlier is not None and posts[earlier].visibility == "public"
            reply_to, quote_of = (earlier, None) if kind < 0.15 else (None, earlier if public else None)
        visibility = "public" if random.random() < 0.92 else "followers"
        posts.append(Post(author, words.post(random, mention), visibility, reply_to, quote_of))
        latest.setdefault(author, []).append(index)
    return posts, times


def _reactable(candidates: Sequence[int], times: Sequence[int], at: int) -> int | None:
    """The newest of some posts (in time order) that is old enough to be reacted to."""
    return next((index for index in reversed(candidates) if times[index] + REACTION_DELAY <= at), None)


def _moments(now: int, count: int, random: Random) -> Iterator[int]:
    """Moments of the last week, by how busy the hours are; the last minute is kept free."""
    hours = range(1, 7 * 24 + 1)
    weights = [HOUR_WEIGHTS[(now - hour * HOUR) // HOUR % 24] for hour in hours]
    for hour in random.choices(hours, weights, k=count):
        yield now - hour * HOUR + random.randrange(HOUR - 60 * SECOND)


def _likes(
    now: int,
    posts: Sequence[Post],
    times: Sequence[int],
    friends: Sequence[Sequence[int]],
    count: int,
    random: Random,
) -> Iterator[Action]:
    """Each post's likers are different followers of its author; how many follows Zipf's law and the post's age."""
    quotas = _quotas(
        [_popularity(now - at, random) for at in times], [len(friends[post.author]) for post in posts], count
    )
    for index, (post, at, quota) in enumerate(zip(posts, times, quotas, strict=True)):
        reactions = random.choices(range(len(REACTIONS)), REACTION_WEIGHTS, k=quota)
        for actor, reaction in zip(random.sample(friends[post.author], quota), reactions, strict=True):
            yield Action(_reaction_time(now, at, random), LIKE, actor, index, reaction)


def _popularity(age: int, random: Random) -> float:
    """A post's weight among all posts: Pareto's tail is Zipf's law by rank. Too young to have been seen is 0."""
    seen_for = age - REACTION_DELAY - 60 * SECOND
    popularity = min(random.paretovariate(1.1), POPULARITY_MAX)
    return popularity * min(1.0, seen_for / REACTION_MEAN) if seen_for > 0 else 0.0


def _quotas(weights: Sequence[float], caps: Sequence[int], total: int) -> list[int]:
    """Whole numbers up to their caps, in proportion to their weights, adding up to `total`, or to what the caps let."""
    allowed = [cap if weight else 0 for weight, cap in zip(weights, caps, strict=True)]
    total = min(total, sum(allowed))
    low, high = 0.0, 1.0 + max(cap / weight for weight, cap in zip(weights, allowed, strict=True) if weight)
    for _ in range(60):
        middle = (low + high) / 2
        given = sum(min(cap, int(weight * middle)) for weight, cap in zip(weights, allowed, strict=True))
        low, high = (middle, high) if given <= total else (low, middle)
    quotas = [min(cap, int(weight * low)) for weight, cap in zip(weights, allowed, strict=True)]
    missing = total - sum(quotas)
    for index in heapq.nlargest(len(quotas), range(len(quotas)), key=lambda index: weights[index]):
        if not missing:
            break
        more = min(missing, allowed[index] - quotas[index], 1)
        quotas[index] += more
        missing -= more
    return quotas


def _reaction_time(now: int, cause: int, random: Random) -> int:
    """At least REACTION_DELAY after its cause, typically within hours, and before the plan's end."""
    earliest, latest = cause + REACTION_DELAY, now - 2 * SECOND
    at = earliest + int(random.expovariate(1 / REACTION_MEAN))
    return at if at < latest else random.randrange(earliest, latest)


def _comments(
    now: int,
    persons: Sequence[Person],
    posts: Sequence[Post],
    times: Sequence[int],
    friends: Sequence[Sequence[int]],
    count: int,
    random: Random,
) -> tuple[list[Comment], list[Action]]:
    """By the author's followers, in time order. A third answer an earlier comment, and then the author may as well.

    The newest of all stands one second before the plan's end, after everything else: once it is found in the log's
    state, all the rest is there.
    """
    weights = list(accumulate(_popularity(now - at, random) for at in times))
    on_posts = random.choices(range(len(posts)), cum_weights=weights, k=count)
    drawn = sorted((_reaction_time(now, times[post], random), post) for post in on_posts)
    drawn[-1] = (now - SECOND, drawn[-1][1])
    comments: list[Comment] = []
    of_post: dict[int, list[int]] = {}
    for index, (at, post) in enumerate(drawn):
        author = posts[post].author
        parent = mention = None
        if random.random() < 0.34:
            old_enough = [other for other in of_post.get(post, ()) if drawn[other][0] + REACTION_DELAY <= at]
            parent = random.choice(old_enough) if old_enough else None
        commenter = author if parent is not None and random.random() < 0.4 else random.choice(friends[author])
        if parent is not None and random.random() < 0.3:
            mention = persons[comments[parent].author].username
        comments.append(Comment(commenter, post, parent, words.comment(random, parent is not None, mention)))
        of_post.setdefault(post, []).append(index)
    return comments, [
        Action(at, COMMENT, comment.author, index, 0)
        for index, ((at, _), comment) in enumerate(zip(drawn, comments, strict=True))
    ]


def _one_at_a_time(actions: Iterable[Action]) -> list[Action]:
    """In time order; of several in one microsecond all but the first are moved on."""
    ordered, last = [], 0
    for action in sorted(actions):
        last = max(action.at, last + 1)
        ordered.append(action if last == action.at else action._replace(at=last))
    return ordered
