"""What one release of the software knows of the events: schemas, Python types, and how old versions are read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from schemas.catalogue import EventSchema, event_schemas
from schemas.types import EVENT_TYPES
from schemas.upcasters import UPCASTERS, Upcast


@dataclass(frozen=True)
class Contract:
    """Schemas and types by event name, upcasters by event name and released version."""

    schemas: Mapping[str, EventSchema]
    types: Mapping[str, type[Any]]
    upcasters: Mapping[tuple[str, int], Upcast] = field(default_factory=dict)

    def upcaster(self, name: str, avro: Mapping[str, Any]) -> Upcast | None:
        """What reads records written by this schema of an event; None where Avro's rules do.

        Raises KeyError for an event that is not known.
        """
        if not any(event == name for event, _ in self.upcasters):
            return None
        versions = self.schemas[name].released()
        found = [self.upcasters.get((name, number)) for number, each in enumerate(versions, start=1) if each == avro]
        return found[0] if found else None


@lru_cache(maxsize=1)
def contract() -> Contract:
    """The product's own."""
    return Contract(event_schemas(), EVENT_TYPES, UPCASTERS)
