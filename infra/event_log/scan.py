"""Records of the log between two offsets of each partition, in portions; memory is the same however many there are."""

import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from confluent_kafka import OFFSET_END, Consumer, KafkaError, KafkaException, Message, TopicPartition

from infra.event_log.failures import BadArgument
from infra.local.failures import LocalError
from projectors.runtime.log_ends import LogEnds, offsets_for_times
from projectors.runtime.stores.port import Partition
from schemas.catalogue import topics as topics_declared
from shared.environment import Environment

RECORDS_AT_ONCE = 2_000
PORTION_SECONDS = 0.1  # the client waits so long for a full portion
SILENCE_SECONDS = 20.0  # a broker that gives nothing for so long, with records still to come, is not going to
ANSWER_SECONDS = 10.0
QUEUE_KILOBYTES = 16_384  # fetched ahead; the client's own default is 64 MB


class Record(NamedTuple):
    """One record as it lies in the log. `topic` is the short name; `time_ms` is when it was appended, since 1970."""

    topic: str
    partition: int
    offset: int
    time_ms: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]

    @property
    def place(self) -> str:
        return f"{self.topic}:{self.partition}:{self.offset}"


class Span(NamedTuple):
    """The records of a partition with start <= offset < end."""

    partition: Partition
    start: int
    end: int


class LogScan:
    """One consumer, which belongs to no group and commits nothing. Not for threads; used as `with`."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._ends = LogEnds(environment, ANSWER_SECONDS)
        self._short: dict[str, str] = {}
        self._consumer = Consumer(
            {
                "bootstrap.servers": environment.kafka_bootstrap_servers,
                "group.id": environment.topic("events-command"),  # demanded by the client; nothing is committed
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                # What retention or deletion took away between asking for offsets and reading is simply not there.
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 10,
                "queued.max.messages.kbytes": QUEUE_KILOBYTES,
            },
            logger=_silent(),
        )

    def __enter__(self) -> "LogScan":
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def topics(self, asked: Iterable[str]) -> tuple[str, ...]:
        """The short names of these topics, or of all that schemas/topics.yaml declares. Raises BadArgument."""
        prefix = self._environment.topic_prefix
        listed = self._consumer.list_topics(timeout=ANSWER_SECONDS).topics
        known = sorted(name.removeprefix(prefix) for name in listed if name.startswith(prefix))
        wanted = list(dict.fromkeys(name.removeprefix(prefix) for name in asked)) or list(topics_declared())
        for name in wanted:
            if name not in known:
                raise BadArgument(f"there is no topic {name!r}: it is one of {', '.join(known) or 'none'}")
        return tuple(wanted)

    def spans(self, topics: Sequence[str], since: int | None = None, until: int | None = None) -> list[Span]:
        """What each partition holds now, or held between two moments (milliseconds since 1970) by Kafka's time index.

        Raises KafkaException when the broker does not answer.
        """
        partitions = self._ends.partitions(topics)
        starts, ends = self._ends.beginnings(partitions), self._ends.ends(partitions)
        whole = [Span(partition, starts[partition], ends[partition]) for partition in partitions]
        if since is not None:
            whole = self.cut(whole, since)[1]
        return whole if until is None else self.cut(whole, until)[0]

    def cut(self, spans: Sequence[Span], moment: int) -> tuple[list[Span], list[Span]]:
        """What of each span was appended before a moment, and what at it or later."""
        first = self._first_at(moment, spans)
        cuts = [(span, min(max(first[span.partition], span.start), span.end)) for span in spans]
        return [span._replace(end=at) for span, at in cuts], [span._replace(start=at) for span, at in cuts]

    def bounds(self, partition: Partition) -> Span:
        """Where one partition begins and ends. Raises BadArgument where there is none."""
        if partition not in self._ends.partitions([partition.topic]):
            raise BadArgument(f"topic {partition.topic} has no partition {partition.number}")
        one = [partition]
        return Span(partition, self._ends.beginnings(one)[partition], self._ends.ends(one)[partition])

    def ends(self, topics: Sequence[str]) -> dict[Partition, int]:
        """The offset that the next record of each partition gets."""
        return self._ends.ends(self._ends.partitions(topics))

    def _first_at(self, moment: int, spans: Sequence[Span]) -> dict[Partition, int]:
        """The first offset of each partition that was appended at this moment or later; its end where none was."""
        places = {(self._environment.topic(span.partition.topic), span.partition.number): span for span in spans}
        first = {}
        asked = [TopicPartition(*place, moment) for place in places]
        for each in offsets_for_times(self._consumer, asked, ANSWER_SECONDS) if asked else []:
            span = places[each.topic, each.partition]
            first[span.partition] = span.end if each.offset == OFFSET_END else each.offset
        return first

    def in_order(self, spans: Iterable[Span]) -> Iterator[list[Record]]:
        """Every record of these spans, one span after the other, each in the order of its offsets.

        Raises LocalError when the broker falls silent before the end.
        """
        for span in spans:
            yield from self._read([span])

    def mixed(self, spans: Sequence[Span]) -> Iterator[list[Record]]:
        """The same, quicker over many short spans: each in its order, but spans in between one another."""
        yield from self._read(spans)

    def _read(self, spans: Sequence[Span]) -> Iterator[list[Record]]:
        at = {
            (self._environment.topic(span.partition.topic), span.partition.number): span
            for span in spans
            if span.start < span.end
        }
        if not at:
            return
        places = [TopicPartition(*place, span.start) for place, span in at.items()]
        self._consumer.assign(places)
        heard = time.monotonic()
        try:
            while at:
                left = sum(span.end - span.start for span in at.values())
                messages = self._consumer.consume(min(RECORDS_AT_ONCE, max(left, 1)), timeout=PORTION_SECONDS)
                now = time.monotonic()
                heard = now if messages else heard
                if now - heard > SILENCE_SECONDS:
                    raise LocalError(f"Kafka gave nothing for {SILENCE_SECONDS:.0f} s: is it up (`rookery status`)?")
                yield self._taken(messages, at)
        finally:
            # The client keeps a partition paused beyond its assignment: the next one would get nothing of it.
            self._consumer.resume(places)
            self._consumer.unassign()

    def _taken(self, messages: Sequence[Message], at: dict[tuple[str, int], Span]) -> list[Record]:
        """The records that lie in a span; takes spans that are read to their end out of `at`."""
        found = []
        for message in messages:
            place: Any = (message.topic(), message.partition())
            span = at.get(place)
            if span is None:
                continue
            error, offset = message.error(), message.offset()
            assert offset is not None
            if error is None:
                if offset < span.end:
                    found.append(self._record(message))
                offset += 1
            elif error.code() != KafkaError._PARTITION_EOF:
                if error.fatal() or error.code() in (
                    KafkaError.UNKNOWN_TOPIC_OR_PART,
                    KafkaError.TOPIC_AUTHORIZATION_FAILED,
                ):
                    raise KafkaException(error)
                continue  # the client tries again by itself, and silence has its limit
            # The end of a partition is told with the offset behind its last record, which a compacted log may not hold.
            if offset >= span.end:
                del at[place]
                if at:
                    self._consumer.pause([TopicPartition(*place)])
            else:
                at[place] = span._replace(start=max(span.start, offset))
        return found

    def follow(self, starts: Mapping[Partition, int]) -> Iterator[list[Record]]:
        """Records as they come, for ever, from these offsets on; an empty portion where none came for a moment."""
        self._consumer.assign(
            [TopicPartition(self._environment.topic(p.topic), p.number, at) for p, at in starts.items()]
        )
        while True:
            messages = self._consumer.consume(RECORDS_AT_ONCE, timeout=PORTION_SECONDS)
            # The client goes on by itself after trouble with the broker, so that only records are of interest.
            yield [self._record(message) for message in messages if message.error() is None]

    def _record(self, message: Message) -> Record:
        name: Any = message.topic()
        short = self._short.get(name)
        if short is None:
            short = self._short[name] = name.removeprefix(self._environment.topic_prefix)
        partition: Any = message.partition()
        offset: Any = message.offset()
        key: Any = message.key()
        value: Any = message.value()
        headers: Any = message.headers()
        return Record(short, partition, offset, message.timestamp()[1], key, value, headers or ())


def _silent() -> logging.Logger:
    """Trouble is told by exceptions; the client's own lines would mix with what is printed."""
    logger = logging.getLogger("infra.event_log.kafka")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    return logger
