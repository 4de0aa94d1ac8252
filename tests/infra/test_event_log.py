"""Claim: a file bears its name only when it is whole; times and values are read and shown as documented.

Oracle: values written by hand, the standard library's datetime. Cannot catch: a disk that loses what it said is on it.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.event_log.export import whole_file
from infra.event_log.failures import BadArgument
from infra.event_log.filters import moment
from infra.event_log.texts import id_text, time_text
from infra.event_log.written import Unreadable, WrittenSchema
from schemas.codec import MAGIC
from shared.ids import micros_of

NOW = micros_of(datetime(2026, 11, 21, 9, 30, tzinfo=UTC))


class Broken(Exception):
    pass


def test_a_file_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "all.jsonl"
    path.write_bytes(b"of yesterday")
    with pytest.raises(Broken), whole_file(path) as stream:
        stream.write(b"half of")
        raise Broken
    assert path.read_bytes() == b"of yesterday"
    with whole_file(path) as stream:
        stream.write(b"today's")
        assert path.read_bytes() == b"of yesterday"
        with pytest.raises(BadArgument, match="another export"), whole_file(path):
            pass
    assert path.read_bytes() == b"today's"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_export_left_is_written_over(tmp_path: Path) -> None:
    (tmp_path / ".all.jsonl.partial").write_bytes(b"much longer than what comes now")
    with whole_file(tmp_path / "all.jsonl") as stream:
        stream.write(b"new")
    assert (tmp_path / "all.jsonl").read_bytes() == b"new"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", NOW),
        ("90s", NOW - 90_000_000),
        ("2h30m", NOW - 9_000_000_000),
        ("1.5h", NOW - 5_400_000_000),
        ("7d", NOW - 7 * 86_400_000_000),
        ("2026-11-21T09:00", NOW - 1_800_000_000),
        ("2026-11-21T10:00+01:00", NOW - 1_800_000_000),
        ("2026-11-21T09:00:00Z", NOW - 1_800_000_000),
        ("2026-11-21", NOW - 34_200_000_000),
        ("1960-01-01", 0),
    ],
)
def test_times_are_understood(text: str, expected: int) -> None:
    assert moment(text, NOW, "--since") == expected // 1_000


@pytest.mark.parametrize("text", ["", "yesterday", "7", "7y", "-5m", "2026-13-01", "99999999999999d"])
def test_other_words_are_not(text: str) -> None:
    try:
        assert moment(text, NOW, "--since") == 0  # longer ago than there was a log
        assert text.startswith("9999")
    except BadArgument as error:
        assert "--since" in str(error)


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_time_as_text_is_that_time(given_time: datetime) -> None:
    assert datetime.fromisoformat(time_text(micros_of(given_time))) == given_time


@given(st.uuids())
def test_an_id_as_text_is_that_id(given_id: UUID) -> None:
    assert id_text(given_id.bytes) == str(given_id)


# A type that this version does not know, with every kind of value that Avro has.
STRANGE: dict[str, Any] = {
    "type": "record",
    "name": "StarNamed",
    "namespace": "rookery.later",
    "partitioned_by": "star_id",
    "fields": [
        {"name": "event_id", "type": {"type": "fixed", "name": "Id", "size": 16}},
        {"name": "occurred_at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "subject_id", "type": "Id"},
        {"name": "star_id", "type": ["null", "Id"]},
        {"name": "seen_at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "spectrum", "type": "bytes"},
        {"name": "by", "type": {"type": "map", "values": "Id"}},
        {
            "name": "orbits",
            "type": {
                "type": "array",
                "items": {"type": "record", "name": "Orbit", "fields": [{"name": "planet_id", "type": "Id"}]},
            },
        },
        {"name": "either", "type": ["null", "string", "Id"]},
        {"name": "note", "type": "bytes", "sealed": True},
    ],
}


def test_a_type_that_nobody_knows_here_is_shown_by_its_schema() -> None:
    one = UUID(int=1)
    row = {
        "event_id": one.bytes,
        "occurred_at": datetime(2026, 11, 21, tzinfo=UTC),
        "subject_id": one.bytes,
        "star_id": one.bytes,
        "seen_at": datetime(2026, 11, 21, tzinfo=UTC),
        "spectrum": b"\x00\xff",
        "by": {"ana": one.bytes},
        "orbits": [{"planet_id": one.bytes}],
        "either": one.bytes,
        "note": b"sealed",
    }
    import io

    body = io.BytesIO()
    fastavro.schemaless_writer(body, fastavro.parse_schema(STRANGE), row)
    schema = WrittenSchema(40, STRANGE)
    read = schema.read(MAGIC.pack(0, 40) + body.getvalue())
    shown = {name: convert(read[name]) for name, convert in schema.converted}
    text = str(one)
    assert schema.is_event
    assert schema.sealed == ["note"]
    assert shown == {
        "star_id": text,
        "seen_at": "2026-11-21T00:00:00.000000Z",
        "spectrum": "AP8=",
        "by": {"ana": text},
        "orbits": [{"planet_id": text}],
        "either": text,
    }


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_read_or_said_to_be_unreadable(body: bytes) -> None:
    schema = WrittenSchema(40, STRANGE)
    try:
        assert schema.read(MAGIC.pack(0, 40) + body).keys() == {field["name"] for field in STRANGE["fields"]}
    except Unreadable as error:
        assert "StarNamed" in str(error)
