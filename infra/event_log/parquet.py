"""Events as Parquet that DuckDB, pandas and Spark read alike, one schema for all types; memory is bounded by bytes.

Times are timestamps in microseconds, UTC; ids are text, since Spark has no type for them and DuckDB casts text to
UUID; `data` is the event's JSON. A row group ends at ROWS_MAX rows or BYTES_MAX of data, whichever comes first.
"""

from collections.abc import Sequence
from typing import IO, Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from infra.event_log.cloudevents import Shown

ROWS_MAX = 122_880  # DuckDB's own row group, which it gives to one thread
BYTES_MAX = 64 * 1_048_576
TIME = pa.timestamp("us", tz="UTC")
SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("type", pa.string(), nullable=False),
        pa.field("subject", pa.string()),
        pa.field("time", TIME),
        pa.field("dataschema", pa.string()),
        pa.field("partitionkey", pa.string()),
        pa.field("traceparent", pa.string()),
        pa.field("topic", pa.string(), nullable=False),
        pa.field("partition", pa.int32(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("recordedtime", TIME),
        pa.field("data", pa.string(), nullable=False),
    ]
)
# Columns with few different values; a dictionary of ids would only cost.
DICTIONARIES = ["source", "type", "dataschema", "topic", "partition"]


class Parquet:
    """A sink for exports (infra/event_log/export.py)."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._writer = pq.ParquetWriter(stream, SCHEMA, compression="zstd", use_dictionary=DICTIONARIES)
        self._columns: dict[str, list[Any]] = {name: [] for name in SCHEMA.names}
        self._bytes = 0

    def write(self, shown: Sequence[Shown]) -> None:
        for name, column in self._columns.items():
            if name != "data":
                column.extend([each.get(name) for each in shown])
        data = [orjson.dumps(each["data"]) for each in shown]
        self._columns["data"].extend(data)
        self._bytes += sum(map(len, data))
        if len(data) and (len(self._columns["data"]) >= ROWS_MAX or self._bytes >= BYTES_MAX):
            self._end_group()

    def close(self) -> None:
        self._end_group()
        self._writer.close()

    def _end_group(self) -> None:
        rows = len(self._columns["data"])
        if not rows:
            return
        arrays = [_array(name, self._columns[name]) for name in SCHEMA.names]
        self._writer.write_table(pa.table(arrays, schema=SCHEMA), row_group_size=rows)
        for column in self._columns.values():
            column.clear()
        self._bytes = 0


def _array(name: str, values: list[Any]) -> Any:
    kind = SCHEMA.field(name).type
    if kind == TIME:
        return _times(values)
    if name == "data":
        return pa.array(values, pa.binary()).cast(pa.string())
    return pa.array(values, kind)


def _times(values: list[str | None]) -> Any:
    try:
        return pa.array(values, pa.string()).cast(TIME)
    except pa.ArrowInvalid:
        # A time that no calendar has stands as a number in an event that is otherwise readable.
        return pa.array([each if each is not None and "T" in each else None for each in values], pa.string()).cast(TIME)
