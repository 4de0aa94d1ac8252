"""Many records of the log at once, as fast as one Python process can: whole stretches of a partition, no group, no poll
per record.

Most events of a long log are of few types whose Avro body always has the same bytes at the same places: fixed ids, an
eight-byte time, enumerations. Those are cut up by `struct` in a quarter of the time that a general Avro reader takes;
all others, and every record of an older schema version, go the general way. Ids are handed to folds that only carry and
compare them as their 16 bytes, which order and hash as UUIDs do and cost nothing to make.
"""

import struct
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from io import BytesIO
from typing import Any, NamedTuple
from uuid import UUID

import fastavro
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from projectors.runtime.last_records import event_of
from projectors.runtime.projection import Projection
from projectors.runtime.reading import SubjectKeys
from projectors.runtime.stores.port import Partition
from schemas.catalogue import event_schemas
from schemas.codec import MAGIC, Codec, MalformedRecord
from schemas.registration import open_codec, schema_ids
from schemas.types import EVENT_TYPES, Event
from shared.crypto import KeyRing
from shared.environment import Environment

HEADER_BYTES = MAGIC.size
# A time of 1979 to 3111 in microseconds takes eight bytes of Avro's zigzag base 128: seven that say "more", and a last.
_TIME_BYTES = 8
_MORE, _LAST = 0x0080808080808080, 0x8080808080808080
SILENCE_SECONDS = 30.0
_POLL_SECONDS = 0.5


def micros_of_eight(encoded: bytes) -> int:
    """The positive number whose Avro encoding is these eight bytes; the groups of seven bits are joined pairwise.

    Raises ValueError when the encoding is not of exactly eight bytes or the number is negative.
    """
    x = int.from_bytes(encoded, "little")
    if x & _LAST != _MORE or x & 1:
        raise ValueError("not a time of eight bytes")
    x &= 0x7F7F7F7F7F7F7F7F
    x = (x & 0x007F007F007F007F) | (x & 0x7F007F007F007F00) >> 1
    x = (x & 0x00003FFF00003FFF) | (x & 0x3FFF00003FFF0000) >> 2
    x = (x & 0x000000000FFFFFFF) | (x & 0x0FFFFFFF00000000) >> 4
    return x >> 1


Decode = Callable[[bytes], Event]


class BulkCodec:
    """Decodes values as schemas/codec.py does. With `opaque_ids` every id is its 16 bytes instead of a UUID.

    `keys` opens sealed fields; without it they are None.
    """

    def __init__(self, codec: Codec, ids: Mapping[str, int], keys: KeyRing | None, opaque_ids: bool) -> None:
        self._codec = codec
        self._keys = keys
        self._opaque = opaque_ids
        self._by_header: dict[bytes, Decode] = {}
        for name, schema_id in ids.items():
            avro = event_schemas()[name].avro
            if keys is not None and any(field.get("sealed") for field in avro["fields"]):
                continue
            header = MAGIC.pack(0, schema_id)
            if made := self._by_places(name, avro):
                self._by_header[header] = made
            elif opaque_ids:
                self._by_header[header] = self._by_fastavro(name, avro)

    def read(self, values: Sequence[bytes]) -> list[Event]:
        """The events of these values. Raises schemas.codec.UnknownEventType or MalformedRecord."""
        if self._keys is not None:
            self._keys.load(self._codec.subjects(values))
        known, other = self._by_header.get, self._decode
        return [known(value[:HEADER_BYTES], other)(value) for value in values]

    def type_name(self, value: bytes) -> str:
        """The type of the event, whose own fields may still be unreadable. Raises as `read` does."""
        return self._codec.type_name(value)

    def _decode(self, value: bytes) -> Event:
        return self._codec.decode(value, None if self._keys is None else self._keys.unseal)

    def _by_places(self, name: str, avro: Mapping[str, Any]) -> Decode | None:
        """Reads the fields at their places; None where a field has no fixed place."""
        places, arguments = [f">{HEADER_BYTES}x"], []
        names = [field["name"] for field in avro["fields"]]
        symbols: dict[str, tuple[str, ...]] = {}
        for field in avro["fields"]:
            kind, field_name = field["type"], field["name"]
            if kind == "Id" or (isinstance(kind, dict) and kind.get("name") == "Id"):
                places.append("16s")
                arguments.append(f"{field_name}={field_name}" if self._opaque else f"{field_name}=uuid({field_name})")
            elif isinstance(kind, dict) and kind.get("logicalType") == "timestamp-micros":
                places.append(f"{_TIME_BYTES}s")
                arguments.append(f"{field_name}=micros({field_name})")
            elif isinstance(kind, dict) and kind["type"] == "enum" and len(kind["symbols"]) <= 64:
                places.append("B")
                # Avro writes a symbol's number doubled; an odd byte is of a longer or negative number.
                symbols[f"{field_name}_symbols"] = tuple(each for one in kind["symbols"] for each in (one, ""))
                arguments.append(f"{field_name}={field_name}_symbols[{field_name}]")
            else:
                return None
        # Written out, since a call with names is twice as fast as one with a dictionary made for it.
        source = f"def cut(value):\n    {', '.join(names)}, = unpack(value)\n    return event({', '.join(arguments)})"
        layout = struct.Struct("".join(places))
        known: dict[str, Any] = {
            "unpack": layout.unpack,
            "event": EVENT_TYPES[name],
            "micros": micros_of_eight,
            "uuid": _uuid,
            **symbols,
        }
        exec(source, known)  # the names come from our own schemas
        cut, general = known["cut"], self._by_fastavro(name, avro) if self._opaque else self._decode

        def decode(value: bytes) -> Event:
            try:
                event: Event = cut(value)
            except (struct.error, ValueError, IndexError):
                return general(value)
            return event

        return decode

    def _by_fastavro(self, name: str, avro: Mapping[str, Any]) -> Decode:
        schema = fastavro.parse_schema(_plain(avro))
        sealed = [field["name"] for field in avro["fields"] if field.get("sealed")]
        listed = [
            field["name"]
            for field in avro["fields"]
            if isinstance(field["type"], dict) and field["type"]["type"] == "array"
        ]
        event_type: type[Any] = EVENT_TYPES[name]

        def decode(value: bytes) -> Event:
            body = BytesIO(value)
            body.seek(HEADER_BYTES)
            try:
                row: Any = fastavro.schemaless_reader(body, schema, None)
                for field in sealed:
                    row[field] = None
                for field in listed:
                    row[field] = tuple(row[field])
                event: Event = event_type(**row)
            except (EOFError, ValueError, TypeError, IndexError, UnicodeDecodeError) as error:
                raise MalformedRecord(f"not a {name}: {error!r}") from error
            return event

        return decode


def _uuid(value: bytes) -> UUID:
    return UUID(bytes=value)


def _plain(node: Any) -> Any:
    """The schema without logical types: times stay whole microseconds."""
    if isinstance(node, dict):
        return {key: _plain(value) for key, value in node.items() if key != "logicalType"}
    return [_plain(each) for each in node] if isinstance(node, list) else node


def open_bulk_codec(projection: Projection, environment: Environment, opaque_ids: bool) -> BulkCodec:
    """The codec for one projection's records. Raises SchemaRegistryError where events are not registered."""
    keys = None
    if projection.reads_text:
        master_key = bytes.fromhex(environment.secrets["master_key"])
        keys = KeyRing(master_key, SubjectKeys(environment.keys_database_url).fetch)
    url = environment.schema_registry_url
    return BulkCodec(open_codec(url), schema_ids(url), keys, opaque_ids)


class LogRecord(NamedTuple):
    """One record that is not deleted."""

    offset: int
    key: bytes | None
    value: bytes


@dataclass(frozen=True)
class Stretch:
    """Some records of one partition in the order of their offsets, up to but not including `next`.

    `values` leaves out deleted records; `last_event` is the id of the last record's event, where it is known.
    `messages` are all records as the client has them.
    """

    partition: Partition
    values: list[bytes]
    next: int
    last_event: UUID | None
    messages: Sequence[Message] = ()

    def records(self) -> Iterator["LogRecord"]:
        """Each record that is not deleted."""
        for message in self.messages:
            key: Any = message.key()
            value: Any = message.value()
            if value is not None:
                yield LogRecord(_offset(message), key, value)

    def values_without(self, offsets: Set[int]) -> list[bytes]:
        """The values of the records at other offsets than these."""
        if not offsets:
            return self.values
        return [record.value for record in self.records() if record.offset not in offsets]


class BulkReader:
    """Reads one partition at a time from one offset to another."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._consumer = Consumer(
            {
                "bootstrap.servers": environment.kafka_bootstrap_servers,
                "group.id": environment.topic("rebuild"),  # required by the client; nothing is committed
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "error",
                "fetch.max.bytes": 16_777_216,
                "max.partition.fetch.bytes": 8_388_608,
                "queued.max.messages.kbytes": 65_536,
                "queued.min.messages": 200_000,
                "fetch.wait.max.ms": 10,
                "check.crcs": False,
                "log_level": 0,
            }
        )

    def stretches(
        self, spans: Mapping[Partition, tuple[int, int]], records: int, deadline: float = float("inf")
    ) -> Iterator[Stretch]:
        """Everything of each partition from its first offset up to but not including its second, in stretches of at
        most that many records, as they come.

        Raises TimeoutError when the broker falls silent, or `deadline` (of time.monotonic) passes before all has come;
        KafkaException where the broker refuses, as for an offset that the log does not have.
        """
        at = {partition: first for partition, (first, until) in spans.items() if first < until}
        if not at:
            return
        name = self._environment.topic
        self._consumer.assign([TopicPartition(name(each.topic), each.number, first) for each, first in at.items()])
        by_place = {(name(each.topic), each.number): each for each in at}
        silent = 0.0
        while at:
            left = deadline - time.monotonic()
            messages = self._consumer.consume(
                min(records, sum(spans[each][1] - at[each] for each in at)), max(0.0, min(left, _POLL_SECONDS))
            )
            silent = 0.0 if messages else silent + _POLL_SECONDS
            if left <= 0 or silent > SILENCE_SECONDS:
                waiting = ", ".join(f"{each.topic}/{each.number} from {first}" for each, first in at.items())
                raise TimeoutError(f"Kafka did not give {waiting} in time")
            for partition, own in _by_partition(messages, by_place):
                stretch = _stretch(partition, own, spans[partition][1]) if partition in at else None
                if stretch is not None and stretch.next > at[partition]:
                    at[partition] = stretch.next
                    if stretch.next >= spans[partition][1]:
                        del at[partition]
                    yield stretch

    def close(self) -> None:
        self._consumer.close()


def _by_partition(
    messages: list[Message], by_place: Mapping[tuple[str, int], Partition]
) -> Iterable[tuple[Partition, list[Message]]]:
    if len(by_place) == 1:
        return [(partition, messages) for partition in by_place.values()]
    found: dict[Partition, list[Message]] = {}
    for message in messages:
        found.setdefault(by_place[message.topic() or "", message.partition() or 0], []).append(message)
    return found.items()


def _stretch(partition: Partition, messages: Sequence[Message], until: int) -> Stretch | None:
    """What these messages hold before `until`; None where they are only news of trouble that passes by itself."""
    errors = [message.error() for message in messages]
    at_end = None
    if any(errors):
        for message, error in zip(messages, errors, strict=True):
            if error is not None and error.code() == KafkaError._PARTITION_EOF:
                at_end = message.offset()
            elif error is not None and (error.fatal() or error.code() == KafkaError._AUTO_OFFSET_RESET):
                raise KafkaException(error)
        messages = [message for message, error in zip(messages, errors, strict=True) if error is None]
    while messages and _offset(messages[-1]) >= until:
        # The log has no record right before `until`, or more of it came than was asked for.
        messages, at_end = messages[:-1], until
    if not messages:
        return None if at_end is None else Stretch(partition, [], min(at_end, until), None)
    last = messages[-1]
    following = _offset(last) + 1 if at_end is None else max(_offset(last) + 1, min(at_end, until))
    values: list[Any] = [value for message in messages if (value := message.value()) is not None]
    key: Any = last.key()
    return Stretch(partition, values, following, event_of(key), messages)


def _offset(message: Message) -> int:
    offset = message.offset()
    return -1 if offset is None else offset
