"""The projections under test, from the one list of them."""

from collections.abc import Callable, Sequence
from typing import Any

from projectors.catalogue import PROJECTIONS
from projectors.runtime.projection import PostgresProjection, Projection
from schemas.types import Event

_ALL: dict[str, Projection] = (
    dict(PROJECTIONS) if isinstance(PROJECTIONS, dict) else {projection.name: projection for projection in PROJECTIONS}
)
POSTGRES_PROJECTIONS = {
    name: projection for name, projection in _ALL.items() if isinstance(projection, PostgresProjection)
}
PROJECTION_NAMES = tuple(POSTGRES_PROJECTIONS)


def fold_of(name: str) -> Callable[[Sequence[Event]], Any]:
    return _ALL[name].fold
