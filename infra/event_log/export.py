"""An export is there whole or not at all, holds a log of any size in the same memory, and says where it ended.

A file is written under a temporary name beside its own, which only one export at a time may hold, and renamed when it
is complete and on disk. Records stand in the order of topic, partition and offset, so that the same records give the
same bytes.
"""

import fcntl
import gzip
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Protocol

import orjson

from infra.event_log.cloudevents import CloudEvents, Shown
from infra.event_log.failures import BadArgument
from infra.event_log.scan import LogScan, Record, Span

GZIP_LEVEL = 4  # 6 makes files 4 % smaller and takes twice as long
STANDARD_OUTPUT = "-"
SUFFIXES = (".jsonl", ".jsonl.gz", ".parquet")


class Sink(Protocol):
    """Where an export goes."""

    def write(self, shown: Sequence[Shown]) -> None:
        """A portion of records."""
        ...

    def close(self) -> None:
        """Everything is handed to the operating system when this returns."""
        ...


class JsonLines:
    """One CloudEvent a line."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def write(self, shown: Sequence[Shown]) -> None:
        self._stream.write(b"".join([orjson.dumps(each, option=orjson.OPT_APPEND_NEWLINE) for each in shown]))

    def close(self) -> None:
        self._stream.flush()


class GzippedJsonLines(JsonLines):
    """The same, compressed; without name and time, so that the same records give the same bytes."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._compressed = gzip.GzipFile(filename="", mode="wb", fileobj=stream, compresslevel=GZIP_LEVEL, mtime=0)
        super().__init__(self._compressed)  # type: ignore[arg-type]

    def close(self) -> None:
        self._compressed.close()


@dataclass
class Exported:
    """What was done. `following` is, for each partition, the offset at which the next export goes on."""

    to: str
    read: int = 0
    records: int = 0
    unreadable: dict[str, int] = field(default_factory=dict)
    size: int = 0
    seconds: float = 0.0
    following: dict[str, int] = field(default_factory=dict)

    @property
    def records_per_second(self) -> float:
        return self.read / self.seconds if self.seconds else 0.0


def check_destination(to: str) -> None:
    """Raises BadArgument where nothing could be written in the end."""
    if to == STANDARD_OUTPUT:
        return
    path = Path(to)
    if not path.name.endswith(SUFFIXES):
        raise BadArgument(f"--to is a file that ends in {', '.join(SUFFIXES)}, or - for JSON lines; not {to!r}")
    if not path.absolute().parent.is_dir():
        raise BadArgument(f"--to: there is no folder {path.absolute().parent}")
    if path.is_dir():
        raise BadArgument(f"--to: {to} is a folder")


def export(
    scan: LogScan,
    spans: Sequence[Span],
    select: Callable[[Sequence[Record]], list[Record]],
    events: CloudEvents,
    sink: Sink,
    progress: Callable[[int], None],
) -> Exported:
    """Writes every record of the spans that is selected. `progress` is told how many were read, every portion."""
    done = Exported(to="")
    began = time.monotonic()
    for portion in scan.in_order(spans):
        shown = events.show_all(select(portion))
        if shown:
            sink.write(shown)
        done.read += len(portion)
        done.records += len(shown)
        progress(done.read)
    sink.close()
    done.unreadable = dict(sorted(events.unreadable.items()))
    done.seconds = time.monotonic() - began
    done.following = {f"{span.partition.topic}:{span.partition.number}": span.end for span in spans}
    return done


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """A file that bears its name only once it is complete and on disk; nothing is left of one that was broken off.

    Raises BadArgument while another export writes the same file.
    """
    path = path.absolute()
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("ab") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BadArgument(f"another export is writing {path}") from None
        # One that was killed left its beginning here.
        stream.truncate(0)
        try:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
            partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
