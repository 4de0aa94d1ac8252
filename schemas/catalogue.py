"""The event schemas as files, each event found by name; the .avsc files are the contract and the source of truth."""

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class EventSchema:
    """One event type: where it goes and what its record looks like."""

    name: str  # "PostLiked"
    topic: str  # "engagement"
    partitioned_by: str  # the field whose id chooses the partition
    subject: str  # the registry's subject: the record's full name (RecordNameStrategy)
    path: Path
    avro: dict[str, Any]
    retired: bool = False  # read for ever, written no more

    @property
    def snake_name(self) -> str:
        return self.path.stem

    @property
    def released_folder(self) -> Path:
        """Where its released versions lie, 0001.avsc first."""
        return self.path.parents[2] / "released" / self.topic / self.snake_name

    def released(self) -> list[dict[str, Any]]:
        """Every released version, oldest first."""
        return [json.loads(path.read_text()) for path in sorted(self.released_folder.glob("*.avsc"))]


@lru_cache(maxsize=1)
def event_schemas() -> dict[str, EventSchema]:
    """Every event schema by event name, in a stable order."""
    return read_schemas(HERE)


def read_schemas(folder: Path) -> dict[str, EventSchema]:
    """The schemas of `folder`/events and, marked so, those of `folder`/retired, ordered by topic and event.

    Raises ValueError where two files say the same name.
    """
    found: dict[str, EventSchema] = {}
    paths = [*(folder / "events").glob("*/*.avsc"), *(folder / "retired").glob("*/*.avsc")]
    for path in sorted(paths, key=lambda each: each.parts[-2:]):
        avro = json.loads(path.read_text())
        name = avro["name"]
        if name in found:
            raise ValueError(f"{path.name} and {found[name].path.name} are both named {name}")
        found[name] = EventSchema(
            name=name,
            topic=avro["topic"],
            partitioned_by=avro["partitioned_by"],
            subject=f"{avro['namespace']}.{name}",
            path=path,
            avro=avro,
            retired=path.parts[-3] == "retired",
        )
    return found


@lru_cache(maxsize=1)
def topics() -> dict[str, dict[str, Any]]:
    """The topics of topics.yaml by name, without the prefix they have in Kafka."""
    loaded: dict[str, dict[str, Any]] = yaml.safe_load((HERE / "topics.yaml").read_text())["topics"]
    return loaded
