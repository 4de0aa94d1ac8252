"""Whether each record was applied once: the ranges that workers asked to apply, joined with those that were committed.

A trigger beside every position notes each move in the transaction that makes it; a worker writes down each step before
it asks for it (tests/chaos/worker.py). What was committed and what it had asked for are one chain: a hole in it is
records that no batch held, an overlap is records applied twice, unless the position was set back in between by hand.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from projectors.catalogue import PROJECTIONS
from projectors.runtime.projection import PostgresProjection
from projectors.runtime.stores.port import Partition

# (partition, epoch, the offset after it) -> the offset it began at.
Steps = Mapping[tuple[Partition, int, int], int]
Move = tuple[int | None, int, int]  # from (None: the first position), to, under which epoch


@dataclass
class Chains:
    """`steps` is how many batches were committed; the others count records."""

    steps: int = 0
    lost: int = 0
    duplicated: int = 0
    set_back: int = 0


def watch(connection: psycopg.Connection[Any]) -> None:
    """Notes every move of every position from now on."""
    connection.execute(
        """
        create schema audit;
        create table audit.move (
          number bigserial primary key, projection text not null, topic text not null, partition integer not null,
          previous bigint, next bigint not null, epoch bigint not null);
        create function audit.note() returns trigger language plpgsql as $$ begin
          insert into audit.move (projection, topic, partition, previous, next, epoch)
          values (tg_table_schema, new.topic, new.partition,
                  case when tg_op = 'UPDATE' then old.next_offset end, new.next_offset, new.epoch);
          return null;
        end $$"""
    )
    for projection in PROJECTIONS:
        if isinstance(projection, PostgresProjection):
            connection.execute(
                f"create trigger noted after insert or update of next_offset on {projection.name}.position"
                " for each row execute function audit.note()".encode()
            )


def moves(connection: psycopg.Connection[Any]) -> dict[tuple[str, Partition], list[Move]]:
    """What was noted, of each projection and partition, in the order of the commits."""
    found: dict[tuple[str, Partition], list[Move]] = defaultdict(list)
    for projection, topic, number, *move in connection.execute(
        "select projection, topic, partition, previous, next, epoch from audit.move order by number"
    ):
        previous, following, epoch = move
        found[projection, Partition(topic, number)].append((previous, following, epoch))
    return found


def steps_of(files: Iterable[Path]) -> dict[tuple[Partition, int, int], int]:
    """The steps that one projection's workers wrote down."""
    asked = {}
    for file in files:
        for line in file.read_text().splitlines() if file.exists() else ():
            topic, number, previous, following, epoch = json.loads(line)
            asked[Partition(topic, number), epoch, following] = previous
    return asked


def follow(chains: Chains, partition: Partition, noted: Iterable[Move], asked: Steps, end: int) -> None:
    """Adds what one partition of one projection says, whose log ends at `end`."""
    at = 0
    for previous, following, epoch in noted:
        if previous is None:
            at = following
        elif following < previous:
            chains.set_back += previous - following
            at = following
        else:
            # A commit that nobody wrote down is counted as if it had held nothing.
            begun = asked.get((partition, epoch, following), following)
            chains.steps += 1
            chains.lost += max(0, begun - at)
            chains.duplicated += max(0, at - begun)
            at = following
    chains.lost += max(0, end - at)
