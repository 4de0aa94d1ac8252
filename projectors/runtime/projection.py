"""A projection as a value: what it reads, how it folds, and where the result is kept."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from projectors.runtime.changes import Changes, CountTable, Table
from projectors.runtime.parking_keys import ParkingKeys, parking_keys
from schemas.types import Event


@dataclass(frozen=True)
class PostgresProjection:
    """One schema of the `read` database, named like the projection.

    `count_tables` declares every table that a Count of `tables` goes into. `effects` is an optional SQL template run
    with every apply, see runtime/apply.py; `sweep_effects` is its like for the sweeper, see runtime/erasure.py.
    """

    name: str
    topics: tuple[str, ...]
    tables: tuple[Table, ...]
    fold: Callable[[Sequence[Event]], Changes]
    tables_sql: Path
    reads_text: bool = False  # whether sealed fields are opened for the fold
    effects: str = ""
    sweep_effects: str = ""
    count_tables: tuple[CountTable, ...] = ()
    computes_with_ids: bool = False  # whether the fold does more with ids than carry, compare and list them
    parking_keys: Callable[[Event], ParkingKeys] = parking_keys  # what waits behind an event that is parked


@dataclass(frozen=True)
class RedisProjection:
    """Sorted sets in Redis, written by the functions of `functions_lua`; `fold` answers what those functions take.

    What a flush took comes back in one of two ways. With `log_hours` 0 the projection begins where PostgreSQL is, and
    readers fill in what came before; else it reads again what the log appended in that many hours, and all of
    `whole_topics`.
    """

    name: str
    topics: tuple[str, ...]
    fold: Callable[[Sequence[Event]], Any]
    functions_lua: Path
    reads_text: bool = False
    parking_keys: Callable[[Event], ParkingKeys] = parking_keys
    one_shard: str = ""  # the hash tag of all its keys, where they are not divided among the readers' shards
    pack: Callable[[Any], bytes] | None = None  # the changes as its functions take them, where it has one shard
    log_hours: int = 0
    whole_topics: tuple[str, ...] = ()


Projection = PostgresProjection | RedisProjection
