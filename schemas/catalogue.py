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

    @property
    def snake_name(self) -> str:
        return self.path.stem


@lru_cache(maxsize=1)
def event_schemas() -> dict[str, EventSchema]:
    """Every event schema by event name, in a stable order."""
    found = {}
    for path in sorted((HERE / "events").glob("*/*.avsc")):
        avro = json.loads(path.read_text())
        name = avro["name"]
        found[name] = EventSchema(
            name=name,
            topic=avro["topic"],
            partitioned_by=avro["partitioned_by"],
            subject=f"{avro['namespace']}.{name}",
            path=path,
            avro=avro,
        )
    return found


@lru_cache(maxsize=1)
def topics() -> dict[str, dict[str, Any]]:
    """The topics of topics.yaml by name, without the prefix they have in Kafka."""
    loaded: dict[str, dict[str, Any]] = yaml.safe_load((HERE / "topics.yaml").read_text())["topics"]
    return loaded
