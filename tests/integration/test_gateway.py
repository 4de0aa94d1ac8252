"""Claim: what the gateway refuses by itself is a problem document like any other, never a page of nginx's.

Oracle: RFC 9457's members and the status each case asks for. Cannot catch: what the processes behind it answer.
"""

import http.client
import json

import pytest

from shared.environment import Environment

BODY_BYTES_MAX = 1 << 20


def ask(
    environment: Environment, method: str, path: str, body: bytes | None = None
) -> tuple[int, str, dict[str, object]]:
    """Status, content type and problem; not httpx, which would put such paths right."""
    connection = http.client.HTTPConnection("127.0.0.1", environment.ports["gateway"], timeout=10)
    connection.request(method, path, body)
    answer = connection.getresponse()
    problem = json.loads(answer.read())
    connection.close()
    return answer.status, answer.headers.get_content_type(), problem


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing/here", 404),
        ("GET", "/%00", 400),
        ("POST", "/api/v1/users/%00/follow/", 400),
        ("TRACE", "/api/v1/posts/", 405),
        ("GET", "/-/away", 404),
    ],
)
def test_a_refusal_is_a_problem(servers: Environment, method: str, path: str, status: int) -> None:
    found, content_type, problem = ask(servers, method, path)
    assert (found, content_type, problem["status"]) == (status, "application/problem+json", status)
    assert problem["trace_id"]


def test_a_body_over_the_limit_is_a_problem(servers: Environment) -> None:
    found, content_type, problem = ask(servers, "POST", "/api/v1/posts/", b" " * (BODY_BYTES_MAX + 1))
    assert (found, content_type, problem["status"]) == (413, "application/problem+json", 413)
