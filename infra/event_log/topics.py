"""What each topic holds, since when, and whether it is set up as it must be; asked of the broker, no record is read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, OffsetSpec, ResourceType

from infra.event_log.failures import BadArgument
from infra.local.topics import CONFIGURATION, declared
from projectors.runtime.log_ends import listed_offsets
from shared.environment import Environment

ANSWER_SECONDS = 10.0
HOUR_SECONDS = 3_600


@dataclass(frozen=True)
class PartitionHeld:
    """Offsets from `start` up to `end`; times in milliseconds since 1970, None where it is empty.

    `bytes` is what the segment files hold on this machine, None where the broker is not this installation's.
    """

    number: int
    leader: int
    replicas: int
    in_sync: int
    start: int
    end: int
    first_ms: int | None
    last_ms: int | None
    last_hour: int
    bytes: int | None

    @property
    def records(self) -> int:
        return self.end - self.start


@dataclass(frozen=True)
class TopicHeld:
    """A topic of schemas/topics.yaml, or one of dead letters; `differs` says what is not as it should be."""

    name: str
    kafka_name: str
    exists: bool
    partitions: list[PartitionHeld]
    partitioned_by: str | None
    producer: str | None
    readers: list[str]
    configuration: dict[str, str]
    differs: list[str]

    @property
    def records(self) -> int:
        """Offsets given and not taken away; where records were deleted one by one, more than there are."""
        return sum(each.records for each in self.partitions)

    @property
    def bytes(self) -> int | None:
        known = [each.bytes for each in self.partitions if each.bytes is not None]
        return sum(known) if known else None

    @property
    def first_ms(self) -> int | None:
        return min((each.first_ms for each in self.partitions if each.first_ms is not None), default=None)

    @property
    def last_ms(self) -> int | None:
        return max((each.last_ms for each in self.partitions if each.last_ms is not None), default=None)

    @property
    def per_second(self) -> float:
        """Records a second, over the last hour."""
        return sum(each.last_hour for each in self.partitions) / HOUR_SECONDS


def describe(environment: Environment, now: int, asked: Sequence[str] = ()) -> list[TopicHeld]:
    """The topics asked for, or all. `now` in microseconds. Raises BadArgument for a topic that is not ours,
    KafkaException or TimeoutError when the broker does not answer."""
    admin = AdminClient({"bootstrap.servers": environment.kafka_bootstrap_servers, "log_level": 0})
    cluster = admin.list_topics(timeout=ANSWER_SECONDS)
    plan = declared()
    wanted = [name.removeprefix(environment.topic_prefix) for name in asked] or list(plan)
    for name in wanted:
        if name not in plan:
            raise BadArgument(f"there is no topic {name!r}: it is one of {', '.join(plan)}")
    present = [name for name in wanted if environment.topic(name) in cluster.topics]
    configured = _configurations(admin, [environment.topic(name) for name in present])
    held = _held(admin, cluster, [environment.topic(name) for name in present], now, environment)
    found = []
    for name in wanted:
        kafka_name = environment.topic(name)
        entry = plan[name]
        found.append(
            TopicHeld(
                name=name,
                kafka_name=kafka_name,
                exists=name in present,
                partitions=held.get(kafka_name, []),
                partitioned_by=entry.get("partitioned_by"),
                producer=entry.get("producer"),
                readers=list(entry.get("readers") or ()),
                configuration=configured.get(kafka_name, {}),
                differs=_differences(
                    int(entry.get("partitions") or environment.topic_partitions),
                    min(3, len(cluster.brokers)),
                    held.get(kafka_name),
                    configured.get(kafka_name, {}),
                ),
            )
        )
    return found


def _differences(
    partitions: int,
    replicas: int,
    held: Sequence[PartitionHeld] | None,
    configured: Mapping[str, str],
) -> list[str]:
    if held is None:
        return ["it does not exist"]
    found = [
        f"partition {each.number} has {each.in_sync} of {each.replicas} replicas in sync"
        for each in held
        if each.in_sync < each.replicas
    ]
    if len(held) != partitions:
        found.append(f"{len(held)} partitions, not {partitions}")
    least = min((each.replicas for each in held), default=0)
    if least < replicas:
        found.append(f"{least} replicas, not {replicas}")
    found += [
        f"{name} is {configured.get(name)}, not {value}"
        for name, value in CONFIGURATION.items()
        if configured.get(name) != value
    ]
    return found


def _configurations(admin: AdminClient, names: Sequence[str]) -> dict[str, dict[str, str]]:
    if not names:
        return {}
    asked = admin.describe_configs([ConfigResource(ResourceType.TOPIC, name) for name in names])
    kept = (*CONFIGURATION, "min.insync.replicas", "segment.ms", "segment.bytes")
    return {
        resource.name: {name: str(entry.value) for name, entry in future.result(ANSWER_SECONDS).items() if name in kept}
        for resource, future in asked.items()
    }


def _held(
    admin: AdminClient, cluster: Any, names: Sequence[str], now: int, environment: Environment
) -> dict[str, list[PartitionHeld]]:
    places = [TopicPartition(name, number) for name in names for number in sorted(cluster.topics[name].partitions)]
    an_hour_ago = now // 1_000 - HOUR_SECONDS * 1_000
    starts = _offsets(admin, places, OffsetSpec.earliest())  # type: ignore[no-untyped-call]
    ends = _offsets(admin, places, OffsetSpec.latest())  # type: ignore[no-untyped-call]
    # The answer for the first record after the beginning of time has that record's time with it.
    first = _offsets(admin, places, OffsetSpec.for_timestamp(0))
    last = _offsets(admin, places, OffsetSpec.max_timestamp())  # type: ignore[no-untyped-call]
    recent = _offsets(admin, places, OffsetSpec.for_timestamp(an_hour_ago))
    found: dict[str, list[PartitionHeld]] = {name: [] for name in names}
    for place in places:
        key = (place.topic, place.partition)
        described = cluster.topics[place.topic].partitions[place.partition]
        found[place.topic].append(
            PartitionHeld(
                number=place.partition,
                leader=described.leader,
                replicas=len(described.replicas),
                in_sync=len(described.isrs),
                start=starts[key].offset,
                end=ends[key].offset,
                first_ms=first[key].timestamp if first[key].offset >= 0 else None,
                last_ms=last[key].timestamp if last[key].offset >= 0 else None,
                last_hour=ends[key].offset - recent[key].offset if recent[key].offset >= 0 else 0,
                bytes=_bytes(environment, *key),
            )
        )
    return found


def _offsets(admin: AdminClient, places: Sequence[TopicPartition], spec: OffsetSpec) -> dict[tuple[str, int], Any]:
    found = listed_offsets(admin, places, spec, ANSWER_SECONDS)
    return {(place.topic, place.partition): each for place, each in found.items()}


def _bytes(environment: Environment, kafka_name: str, number: int) -> int | None:
    """What the partition's files take; the client cannot ask a broker for that, so only of this installation's own."""
    folder = environment.var / "kafka" / "data" / f"{kafka_name}-{number}"
    if not environment.own_kafka or not folder.is_dir():
        return None
    total = 0
    for path in folder.glob("*.log"):
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            continue  # deleted by the broker meanwhile
    return total
