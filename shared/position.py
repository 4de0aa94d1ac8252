"""Where something stands in the log: topic (without prefix), partition, and the offset of the next record."""

from typing import NamedTuple


class Position(NamedTuple):
    """A place in one partition. `offset` is the next record's: a record at offset 7 is covered from position 8 on."""

    topic: str
    partition: int
    offset: int
