"""Claim: the figures in docs/operations.md, hop by hop, are those that the code runs by.

Oracle: the constants themselves, read from the files that the table names. Cannot catch: a hop that the table forgets.
"""

import ast
import re
from typing import Any

import pytest

from infra.local import supervision
from projectors.runtime.settings import WorkerSettings
from shared.environment import REPOSITORY, load
from shared.kafka import PRODUCER_SETTINGS

DEFAULTS, WORKER = load({}), WorkerSettings()
YEAR_SECONDS = 365 * 24 * 3600


def constant(path: str, name: str) -> Any:
    """A number that a module gives a name at its top; read, not imported, since some modules need a whole process."""
    for statement in ast.parse((REPOSITORY / path).read_text()).body:
        if isinstance(statement, ast.Assign) and getattr(statement.targets[0], "id", None) == name:
            return ast.literal_eval(statement.value)
    raise AssertionError(f"{path} has no {name}")


def found(path: str, pattern: str) -> str:
    """What a file says where the value has no name."""
    match = re.search(pattern, (REPOSITORY / path).read_text(), re.MULTILINE)
    assert match, f"{path} has no {pattern}"
    return match[1]


def nginx(directive: str) -> str:
    return found("infra/gateway/nginx.conf.template", rf"^ +{directive} (\d+)[sm];")


def number(value: Any) -> str:
    return f"{float(value):,g}" if float(value) < 1_000 else f"{int(value):,}"


DISPATCH, RELAY = "command_api/dispatch.py", "command_api/event_log/relay.py"
BASE, SENDER = "command_api/settings/base.py", "projectors/runtime/sender.py"
CONSUMER, RETRYING = "query_api/notifications/consumer.py", "projectors/runtime/retrying.py"
STORE = "projectors/runtime/stores/"

CONNECT_COMMAND = found(BASE, r"connect_timeout.: (\d+)")
CONNECT_STORE = found(STORE + "postgres.py", r"connect_timeout=(\d+)")
LOCK_STORE = found(STORE + "postgres.py", r"lock_timeout = '(\d+)s'")
STATEMENT_QUERY = int(found("query_api/database.py", r"statement_timeout=(\d+)")) // 1_000
REGISTRY_TRIES = int(found("schemas/registration.py", r"max\.retries.: (\d+)")) + 1

HOPS = {
    "client → gateway": [
        f"headers and body {nginx('client_header_timeout')}",
        f"headers and body {nginx('client_body_timeout')}",
        f"answer {nginx('send_timeout')}",
        f"idle {nginx('keepalive_timeout')}",
        f"body {nginx('client_max_body_size')} MiB",
    ],
    "gateway → command, query": [f"connect {nginx('proxy_connect_timeout')}", f"answer {nginx('proxy_read_timeout')}"],
    "gateway → realtime": [f"every {number(constant(CONSUMER, 'HEARTBEAT_SECONDS'))}"],
    "command API → PostgreSQL": [
        f"connect {CONNECT_COMMAND}",
        f"lock {constant(BASE, 'LOCK_SECONDS_MAX')}",
        f"statement {constant(BASE, 'STATEMENT_SECONDS_MAX')}",
        f"{constant(DISPATCH, 'ATTEMPTS_MAX')} attempts",
    ],
    "command API → Kafka": [
        f"{number(DEFAULTS.ack_wait_seconds)} from the request's beginning",
        f"{number(constant(DISPATCH, 'ACK_SECONDS_MIN'))} for the acknowledgement at least",
        f"tries for {number(int(PRODUCER_SETTINGS['delivery.timeout.ms']) / 1_000)}",
        f"after {constant('command_api/event_log/publishing.py', 'TIMEOUTS_MAX')} timeouts",
        f"once {number(DEFAULTS.outbox_backlog_max)} writes wait",
    ],
    "command API → registry": [
        f"{constant('schemas/registration.py', 'ANSWER_SECONDS')}, each of {REGISTRY_TRIES} tries",
        f"for {number(constant('command_api/event_log/encoding.py', 'ASK_AGAIN_SECONDS'))} after a failure",
    ],
    "relay → Kafka": [
        f"{number(constant(RELAY, 'DELIVERY_SECONDS'))} for a batch of up to {constant(RELAY, 'BATCH_RECORDS'):,}",
        f"older than {number(constant(RELAY, 'AGE_SECONDS'))}",
    ],
    "Kafka → projector": [
        f"request {number(WORKER.request_seconds)}",
        f"session {number(WORKER.session_seconds)}",
        f"rebalance {number(WORKER.rebalance_seconds)}",
    ],
    "projector → PostgreSQL": [
        f"connect {CONNECT_STORE}",
        f"lock {LOCK_STORE}",
        f"statement {constant(STORE + 'postgres.py', 'STATEMENT_TIMEOUT_SECONDS')}",
        f"until it is over, pausing {number(constant(RETRYING, 'FIRST_DELAY_SECONDS'))}"
        f" to {number(constant(RETRYING, 'DELAY_SECONDS_MAX'))}",
        f"a fence gives up after {number(WORKER.fence_seconds)}",
    ],
    "projector → Redis": [
        f"connect {number(constant(STORE + 'redis.py', 'CONNECT_SECONDS'))}",
        f"answer {number(constant(STORE + 'redis.py', 'ANSWER_SECONDS'))}",
    ],
    "query API → PostgreSQL": [
        f"connection {number(constant('query_api/database.py', 'CHECKOUT_SECONDS_MAX'))}",
        f"statement {STATEMENT_QUERY}",
    ],
    "query API → Redis": [
        f"connect {number(constant('shared/feed_store.py', 'CONNECT_SECONDS'))}",
        f"answer {number(constant('shared/feed_store.py', 'ANSWER_SECONDS'))}",
        f"left alone for {number(constant('query_api/feed/home.py', 'AWAY_SECONDS'))}",
    ],
    "read with a token": [
        number(DEFAULTS.consistency_wait_seconds),
        f"every {number(constant('query_api/consistency.py', 'POLL_SECONDS_MIN') * 1_000)} to"
        f" {number(constant('query_api/consistency.py', 'POLL_SECONDS_MAX') * 1_000)} ms",
    ],
    "sender → Redis": [
        f"connect {number(constant(SENDER, 'CONNECT_SECONDS'))}",
        f"answer {number(constant(SENDER, 'ANSWER_SECONDS'))}",
        f"heartbeat, {number(constant(CONSUMER, 'HEARTBEAT_SECONDS'))} at most",
    ],
    "realtime → WebSocket": [f"send {number(constant(CONSUMER, 'SEND_SECONDS_MAX'))}"],
}


def rows() -> dict[str, str]:
    """The table's rows by hop, links taken out."""
    page = (REPOSITORY / "docs" / "operations.md").read_text().partition("## Each hop")[2]
    lines = [line for line in page.splitlines() if line.startswith("| ")][1:]
    return {line.split(" | ")[0].removeprefix("| "): re.sub(r" \(\[[^)]*\)[^)]*\)", "", line) for line in lines}


def test_every_hop_is_checked() -> None:
    assert set(rows()) == set(HOPS)


@pytest.mark.parametrize("hop", sorted(HOPS))
def test_a_hop_has_the_figures_of_the_code(hop: str) -> None:
    missing = [figure for figure in HOPS[hop] if not re.search(rf"{re.escape(figure)}(?![\d.])", rows()[hop])]
    assert not missing, f"docs/operations.md, {hop}: {missing}"


def test_no_program_is_given_up_in_a_long_outage() -> None:
    """supervisord waits a second longer before each further start, and gives up after the last."""
    last = supervision.START_RETRIES
    assert last * (last + 1) / 2 > YEAR_SECONDS
