"""What operators ask a process: whether it lives, whether it can work, and a few figures."""

import psycopg
from django.db import connections
from django.http import HttpRequest, HttpResponse, JsonResponse

from command_api.event_log import encoding, outbox
from command_api.event_log.late import late_marker
from command_api.event_log.publishing import publisher
from command_api.vault.router import VAULT
from shared.environment import environment


def healthz(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"status": "ok"})


def readyz(request: HttpRequest) -> JsonResponse:
    """200 when writes can be taken: both databases answer and the schemas are known. The broker may be away."""
    failures = {}
    for name in ("default", VAULT):
        try:
            with connections[name].cursor() as cursor:
                cursor.execute("SELECT 1")
        except Exception as error:  # whatever it is, this process is not ready, and says why
            connections[name].close()
            failures[name] = str(error)
    try:
        encoding.codec()
    except Exception as error:  # likewise
        failures["registry"] = str(error)
    return JsonResponse({"status": "away" if failures else "ok", "failures": failures}, status=503 if failures else 200)


def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus text format: the outbox's backlog (counted to its limit) and whether the broker answers."""
    connections["default"].ensure_connection()
    cursor = psycopg.Cursor(connections["default"].connection)
    waiting = outbox.backlog(cursor, environment().outbox_backlog_max)
    lines = [
        "# TYPE rookery_outbox_unacknowledged gauge",
        f"rookery_outbox_unacknowledged {waiting}",
        "# TYPE rookery_broker_away gauge",
        f"rookery_broker_away {int(publisher(late_marker()).away)}",
    ]
    return HttpResponse("\n".join(lines) + "\n", content_type="text/plain; version=0.0.4")
