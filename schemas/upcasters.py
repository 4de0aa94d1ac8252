"""Records of old versions as events of today, where Avro's defaults cannot say it. Pure functions, listed once.

A key is an event's name and the number of a released version; its function takes that version's fields by name (ids as
UUIDs, sealed fields opened or None, lists as tuples) and answers an event of a current type: the same event where a
field has come to mean something else, or its successor where the event is retired. Versions without an entry are read
by Avro's rules. The codec finds the version by the schema that a record names as its writer's.
"""

from collections.abc import Callable, Mapping
from typing import Any

Upcast = Callable[[Mapping[str, Any]], Any]

UPCASTERS: Mapping[tuple[str, int], Upcast] = {}
