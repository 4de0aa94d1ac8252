"""Registers every event schema with the registry, as a step of its own: producers and projectors only look ids up.

python -m schemas.registration REGISTRY_URL
"""

import json
import sys
from collections.abc import Mapping
from typing import Any

import httpx2
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.common.schema_registry_client import ConfigCompatibilityLevel, ServerConfig
from confluent_kafka.schema_registry.error import SchemaRegistryError

from schemas.catalogue import EventSchema, event_schemas
from schemas.codec import Codec, UnknownEventType
from schemas.contract import Contract

# Without a limit of its own the client waits for ever for a registry that hangs.
ANSWER_SECONDS = 5
NOT_FOUND = 404
COMPATIBILITY = ConfigCompatibilityLevel.FULL_TRANSITIVE


class RegistryAway(ConnectionError):
    """The registry does not answer now; what was asked for may be there."""


def register(registry_url: str, of: Mapping[str, EventSchema] | None = None) -> dict[str, int]:
    """Registers the schemas with their compatibility and answers their ids by event name; repeating changes nothing.

    Raises confluent_kafka.schema_registry.error.SchemaRegistryError for one that the registry refuses.
    """
    client = _client(registry_url)
    ids = {}
    for name, schema in (event_schemas() if of is None else of).items():
        ids[name] = client.register_schema(schema.subject, _schema(schema.avro))
        client.set_config(schema.subject, ServerConfig(compatibility=COMPATIBILITY))
    return ids


def schema_ids(registry_url: str, of: Mapping[str, EventSchema] | None = None) -> dict[str, int]:
    """The ids of the current schemas by event name.

    Raises confluent_kafka.schema_registry.error.SchemaRegistryError when one is not registered.
    """
    client = _client(registry_url)
    return {
        name: _registered_id(client.lookup_schema(schema.subject, _schema(schema.avro)).schema_id)
        for name, schema in (event_schemas() if of is None else of).items()
    }


def open_codec(registry_url: str, of: Contract | None = None) -> Codec:
    """A codec that knows the current ids and asks the registry for the schema of an id it has not seen."""
    client = _client(registry_url)

    def writer_schema(schema_id: int) -> tuple[str, dict[str, Any]]:
        try:
            avro = json.loads(str(client.get_schema(schema_id).schema_str))
        except SchemaRegistryError as error:
            if error.http_status_code == NOT_FOUND:
                raise UnknownEventType(f"schema {schema_id} is not registered") from error
            raise RegistryAway(str(error)) from error
        except (OSError, httpx2.HTTPError) as error:
            raise RegistryAway(str(error)) from error
        return f"{avro['namespace']}.{avro['name']}", avro

    return Codec(schema_ids(registry_url, None if of is None else of.schemas), writer_schema, of)


def _client(registry_url: str) -> SchemaRegistryClient:
    return SchemaRegistryClient({"url": registry_url, "timeout": ANSWER_SECONDS, "max.retries": 2})


def _schema(avro: dict[str, Any]) -> Schema:
    return Schema(json.dumps(avro), "AVRO")


def _registered_id(schema_id: int | None) -> int:
    if schema_id is None:
        raise LookupError("the registry answered no id")
    return schema_id


if __name__ == "__main__":
    for event_name, event_id in register(sys.argv[1]).items():
        print(f"{event_id:>4}  {event_name}")
