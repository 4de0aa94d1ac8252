"""The projections under test, from the one list of them."""

from collections.abc import Callable, Sequence
from typing import Any

from projectors.catalogue import PROJECTIONS, projection_named
from projectors.runtime.projection import PostgresProjection
from schemas.types import Event

POSTGRES_PROJECTIONS = {each.name: each for each in PROJECTIONS if isinstance(each, PostgresProjection)}
PROJECTION_NAMES = tuple(POSTGRES_PROJECTIONS)


def fold_of(name: str) -> Callable[[Sequence[Event]], Any]:
    return projection_named(name).fold
