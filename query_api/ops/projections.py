"""How far each projection is, for staff: as the monitor measures it, or as far as the read database tells without it.

The monitor (its address is a setting) asks Kafka, Redis and the read database every two seconds, so this route asks
one process of ours and none of them.
"""

import logging
from typing import Any, LiteralString

import httpx
from rest_framework.request import Request
from rest_framework.response import Response

from query_api import database
from query_api.consistency import reads
from query_api.described import read_of
from query_api.posts.present import moment
from query_api.shapes import ProjectionPosition, ProjectionPositions
from query_api.views import ReadView
from schemas.catalogue import topics
from shared.environment import environment

ADMIN = "admin"
ANSWER_SECONDS = 1.0
POSITIONS_SQL: LiteralString = """
select '{projection}' as projection, topic, partition, next_offset, advanced_at from {projection}.position"""
UNKNOWN = dict.fromkeys(ProjectionPosition().fields) | {"state": "unknown"}
log = logging.getLogger(__name__)


class ProjectionsView(ReadView):
    """Position, end, lag in records and seconds, rate, time to drain and state, partition by partition."""

    role_required = ADMIN

    @read_of("operations", "listProjections", ProjectionPositions, bearer=True, problems=(401, 403))
    def get(self, request: Request) -> Response:
        measured_at, measured = _measured()
        stored = {_place(each): each for each in map(_shape, database.rows(_statement(), {}))}
        # A figure and the position that it belongs to come from one look.
        items = stored | {_place(each): each for each in measured}
        return Response({"measured_at": measured_at, "items": [items[place] for place in sorted(items)]})


def _measured() -> tuple[str | None, list[dict[str, Any]]]:
    """When the monitor looked, and what it saw; nothing while it is away."""
    try:
        # Its address is ours: no proxy of the environment's leads there.
        answer = httpx.get(f"{environment().monitor_url}/projections", timeout=ANSWER_SECONDS, trust_env=False)
        answer.raise_for_status()
        document = answer.json()
    except (httpx.HTTPError, ValueError) as error:
        log.warning("the monitor does not answer: %r", error)
        return None, []
    return document["measured_at"], [each for found in document["projections"] for each in found["partitions"]]


def _statement() -> LiteralString:
    # The names come from topics.yaml, never from a request.
    found = topics()
    names = sorted({name for entry in found.values() for name in entry.get("readers", ())})
    stored = [name for name in names if any(reads(name, topic) for topic in found)]
    return " union all ".join(POSITIONS_SQL.format(projection=name) for name in stored)


def _shape(row: Any) -> dict[str, Any]:
    return UNKNOWN | {
        "projection": row.projection,
        "topic": row.topic,
        "partition": row.partition,
        "position": row.next_offset,
        "advanced_at": moment(row.advanced_at),
    }


def _place(item: dict[str, Any]) -> tuple[str, str, int]:
    return item["projection"], item["topic"], item["partition"]
