"""Where each projection of the read database stands, for staff; the feed's place is in Redis, where it is kept."""

from typing import Any, LiteralString

from rest_framework.request import Request
from rest_framework.response import Response

from query_api import database
from query_api.consistency import reads
from query_api.described import read_of
from query_api.posts.present import moment
from query_api.shapes import ProjectionPositions
from query_api.views import ReadView
from schemas.catalogue import topics

ADMIN = "admin"
POSITIONS_SQL: LiteralString = """
select '{projection}' as projection, topic, partition, next_offset, advanced_at from {projection}.position"""


class ProjectionsView(ReadView):
    """The next record that each projection applies, in each partition of each topic that it reads."""

    role_required = ADMIN

    @read_of("operations", "listProjections", ProjectionPositions, bearer=True, problems=(401, 403))
    def get(self, request: Request) -> Response:
        return Response({"items": [_shape(row) for row in database.rows(_statement(), {})]})


def _statement() -> LiteralString:
    # The names come from topics.yaml, never from a request.
    found = topics()
    names = sorted({name for entry in found.values() for name in entry.get("readers", ())})
    stored = [name for name in names if any(reads(name, topic) for topic in found)]
    selects = " union all ".join(POSITIONS_SQL.format(projection=name) for name in stored)
    return f"{selects} order by projection, topic, partition"


def _shape(row: Any) -> dict[str, Any]:
    return {
        "projection": row.projection,
        "topic": row.topic,
        "partition": row.partition,
        "position": row.next_offset,
        "advanced_at": moment(row.advanced_at),
    }
