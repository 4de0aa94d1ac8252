"""What the reference model does with sets gives the same whatever order they come in."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from typing import Any, TypeVar
from uuid import UUID

NIL = UUID(int=0)
E = TypeVar("E", bound=Any)
K = TypeVar("K", bound=Hashable)


def newest(events: Iterable[E], by: Callable[[E], K]) -> dict[K, E]:
    """The event with the greatest id for each value of `by`."""
    found: dict[K, E] = {}
    for event in events:
        key = by(event)
        known = found.get(key)
        if known is None or event.event_id > known.event_id:
            found[key] = event
    return found


def greatest(pairs: Iterable[tuple[K, UUID]]) -> dict[K, UUID]:
    """The greatest id given for each key."""
    found: dict[K, UUID] = {}
    for key, identifier in pairs:
        found[key] = max(identifier, found.get(key, NIL))
    return found


def grouped(pairs: Iterable[tuple[K, Any]]) -> dict[K, set[Any]]:
    """For each key the set of what it is paired with."""
    found: dict[K, set[Any]] = defaultdict(set)
    for key, value in pairs:
        found[key].add(value)
    return dict(found)


def newest_first(ids: Iterable[UUID]) -> list[UUID]:
    """Ids by time and then by themselves, newest first, which for UUIDv7 is one and the same."""
    return sorted(ids, reverse=True)
