"""What a server that does not answer makes its client raise, for the commands that end with one line about it."""

import httpx2
import psycopg
from confluent_kafka import KafkaException
from confluent_kafka.schema_registry.error import SchemaRegistryError
from redis import RedisError

from projectors.runtime.catching_up import NotPassed
from schemas.codec import UnknownEventType
from schemas.registration import RegistryAway
from shared.feed_store import FeedUnavailable

KAFKA = (KafkaException, TimeoutError)
# One that answers is told by what it says, one that does not by what carried the question.
REGISTRY = (SchemaRegistryError, RegistryAway, httpx2.HTTPError)
POSTGRES = (psycopg.Error,)
REDIS = (RedisError, FeedUnavailable)
# A record that may not be passed waits for another version of the code, as a server is waited for.
NOT_NOW = (UnknownEventType, NotPassed)
TROUBLE = (*KAFKA, *REGISTRY, *POSTGRES, *REDIS, *NOT_NOW, ConnectionError)
