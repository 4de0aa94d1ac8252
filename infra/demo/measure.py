"""How long people wait for what they ask, seen from outside through the gateway, in milliseconds."""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from infra.demo.client import DemoFailure, Visitor, expect, expect_that
from infra.demo.journey import Couple

SAMPLES = 100
WITH_TOKEN = 20  # further writes, read back at once by their consistency token
PAGE = 20
POLL_SECONDS = 0.002
VISIBLE_SECONDS_MAX = 10


class Quantiles(NamedTuple):
    p50: float
    p99: float


class Measured(NamedTuple):
    feed_cold_ms: Quantiles | None  # None when no feed was cold: everybody has read lately
    feed_page_ms: Quantiles
    write_ms: Quantiles
    write_visible_ms: Quantiles
    write_token_read_ms: Quantiles
    like_frame_ms: Quantiles
    feed_readers: int


def quantiles(samples: Sequence[float]) -> Quantiles:
    """By nearest rank: the smallest sample that at least that share of all are not above."""
    ordered = sorted(samples)
    return Quantiles(*(round(ordered[math.ceil(share * len(ordered)) - 1], 2) for share in (0.50, 0.99)))


def measure(gateway_url: str, readers: Sequence[str], couple: Couple, advance: Callable[[], None]) -> Measured:
    """`readers` are access tokens of different people; `advance` is called after each single measurement."""
    cold, warm = _feeds(gateway_url, readers, advance)
    posts, write, visible = _writes(couple, advance)
    token_reads = _token_reads(couple, advance)
    frames = _frames(couple, posts, advance)
    return Measured(
        quantiles(cold) if cold else None,
        quantiles(warm),
        quantiles(write),
        quantiles(visible),
        quantiles(token_reads),
        quantiles(frames),
        len(readers),
    )


def steps(readers: int) -> int:
    """How often `measure` will call `advance`."""
    return 2 * readers + 2 * SAMPLES + WITH_TOKEN


def _feeds(gateway_url: str, readers: Sequence[str], advance: Callable[[], None]) -> tuple[list[float], list[float]]:
    """A first pass over everybody's ranked feed, of which those found cold count, and a second one over warm feeds."""
    visitor = Visitor(gateway_url)
    passes: list[list[float]] = [[], []]
    for number, samples in enumerate(passes):
        for access in readers:
            visitor.use(access)
            answer = visitor.get("feed/home/", sort="ranked", limit=PAGE)
            expect_that(len(answer.body["items"]) > 0, "a seeded reader's feed has posts", answer.body)
            if number == 1 or answer.headers.get("X-Cache-Status") != "hit":
                samples.append(answer.milliseconds)
            advance()
    visitor.close()
    return passes[0], passes[1]


def _writes(couple: Couple, advance: Callable[[], None]) -> tuple[list[str], list[float], list[float]]:
    """Publishing, and from sending the post until the follower's feed shows it, asked without any token."""
    posts, write, visible = [], [], []
    for number in range(SAMPLES):
        started = time.perf_counter()
        answer = couple.author.post("posts/", {"content": f"Measuring, number {number}. #rookery"}, statuses=(201, 202))
        posts.append(answer.body["id"])
        write.append(answer.milliseconds)
        _await_in_feed(couple.follower, answer.body["id"])
        visible.append((time.perf_counter() - started) * 1000)
        advance()
    return posts, write, visible


def _await_in_feed(reader: Visitor, post_id: str) -> None:
    deadline = time.monotonic() + VISIBLE_SECONDS_MAX
    while time.monotonic() < deadline:
        if post_id in _ids(reader.get("feed/home/", sort="recent", limit=5).body["items"]):
            return
        time.sleep(POLL_SECONDS)
    raise DemoFailure(f"post {post_id} did not reach the follower's feed within {VISIBLE_SECONDS_MAX} s")


def _token_reads(couple: Couple, advance: Callable[[], None]) -> list[float]:
    """The read that must see a write, sent the moment the write was answered: one try, and it is there."""
    samples = []
    for number in range(WITH_TOKEN):
        written = couple.author.post("posts/", {"content": f"By its token, number {number}."}, statuses=(201, 202))
        read = couple.follower.get("feed/home/", after=written, sort="recent", limit=5)
        if not written.pending:
            expect(_ids(read.body["items"])[:1], [written.body["id"]], "the newest item of a feed read with the token")
        samples.append(read.milliseconds)
        advance()
    return samples


def _frames(couple: Couple, posts: Iterable[str], advance: Callable[[], None]) -> list[float]:
    """From sending a like until its frame is there on the author's WebSocket."""
    samples = []
    for post_id in posts:
        started = time.perf_counter()
        couple.follower.post(f"posts/{post_id}/like/", {"reaction": "like"})
        frame = couple.frames.next("notification")
        expect((frame.body["data"]["verb"], frame.body["data"]["target"]["id"]), ("like", post_id), "the frame's like")
        samples.append((frame.at - started) * 1000)
        advance()
    return samples


def _ids(items: Iterable[dict[str, dict[str, str]]]) -> list[str]:
    return [item["post"]["id"] for item in items]
