"""Claim: every alert can fire: its metrics are exposed by the processes that are scraped, and its runbook entry exists.

Oracle: the running processes' own /metrics, docs/operations.md, and promtool where it is installed. The rules' effect
is tried by promtool on series written by hand. Cannot catch: a threshold that is wrong for a deployment.
"""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from shared.environment import PORT_OFFSETS, REPOSITORY, Environment

FOLDER = REPOSITORY / "infra" / "observability"
GROUPS: list[dict[str, Any]] = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"]
RULES: list[dict[str, Any]] = [rule for group in GROUPS for rule in group["rules"]]
SCRAPED: list[dict[str, Any]] = yaml.safe_load((FOLDER / "prometheus.yml").read_text())["scrape_configs"]
NAMES = re.compile(r"\brookery_\w+")

# Every rule on series that must fire it, at the moment given, and the labels that it then carries.
FIRES = {
    "RookeryProjectionLagging": ("rookery_projection_lag_seconds", "40+0x60", "5m"),
    "RookeryProjectionFarBehind": ("rookery_projection_lag_seconds", "400+0x60", "9m"),
    "RookeryProjectionStalled": ('rookery_projection_state{state="stalled"}', "1+0x60", "3m"),
    "RookeryProjectionWithoutWorker": ('rookery_projection_state{state="stopped"}', "1+0x60", "3m"),
    "RookeryProjectionAheadOfLog": ('rookery_projection_state{state="ahead"}', "1+0x60", "3m"),
    "RookeryProjectionRebalancing": ("rookery_projection_rebalances_total", "0+1x60", "14m"),
    "RookeryRecordsParked": ("rookery_projection_parked", "3+0x60", "3m"),
    "RookeryRecordsParkedRising": ("rookery_projection_parked", "0+5x60", "12m"),
    "RookeryOutboxBacklog": ("rookery_outbox_unacknowledged", "2000+0x60", "4m"),
    "RookeryOutboxNearItsLimit": ("rookery_outbox_unacknowledged", "60000+0x60", "3m"),
    "RookeryBrokerAway": ("rookery_broker_away", "1+0x60", "3m"),
    "RookeryLagUnknown": ("rookery_monitor_troubles", "1+0x60", "3m"),
    "RookeryMonitorStandsStill": ("rookery_monitor_last_look_timestamp_seconds", "0+0x60", "4m"),
    "RookeryProcessDown": ('up{job="rookery-monitor"}', "0+0x60", "3m"),
}
QUIET = [
    ("rookery_projection_lag_seconds", "2+0x60"),
    ('rookery_projection_state{state="idle"}', "1+0x60"),
    ("rookery_projection_rebalances_total", "4+0x60"),
    ("rookery_projection_parked", "0+0x60"),
    ("rookery_outbox_unacknowledged", "12+0x60"),
    ("rookery_broker_away", "0+0x60"),
    ("rookery_monitor_troubles", "0+0x60"),
    ("rookery_monitor_last_look_timestamp_seconds", "0+60x60"),
    ('up{job="rookery-monitor"}', "1+0x60"),
]


def anchors() -> set[str]:
    """The headings of docs/operations.md, as links name them."""
    headings = re.findall(r"^#+ (.+)$", (REPOSITORY / "docs" / "operations.md").read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_alerts_are_named_once_and_tried() -> None:
    names = [rule["alert"] for rule in RULES]
    assert len(names) == len(set(names)) and set(names) == set(FIRES)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_a_rule_has_what_somebody_who_is_woken_needs(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert rule["annotations"]["summary"]
    page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    assert page == "docs/operations.md" and anchor in anchors()


def test_every_metric_that_a_rule_names_is_exposed_where_it_is_scraped(servers: Environment) -> None:
    exposed: set[str] = set()
    for job in SCRAPED:
        (target,) = (target for each in job["static_configs"] for target in each["targets"])
        program = job["job_name"].removeprefix("rookery-")
        assert target == f"127.0.0.1:{7400 + PORT_OFFSETS[program]}"
        answer = httpx.get(f"http://127.0.0.1:{servers.ports[program]}/metrics", timeout=10)
        assert answer.status_code == 200
        for family in text_string_to_metric_families(answer.text):
            exposed |= {sample.name for sample in family.samples}
    named = {name for rule in RULES for name in NAMES.findall(rule["expr"])}
    assert named and named <= exposed, f"exposed by nobody: {named - exposed}"


@pytest.fixture
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is not installed (Debian: apt-get install prometheus)")
    return found


def test_promtool_accepts_the_configuration(promtool: str) -> None:
    subprocess.run([promtool, "check", "config", FOLDER / "prometheus.yml"], check=True, capture_output=True)


def labelled(series: str) -> str:
    name, _, labels = series.partition("{")
    given = "" if not name.startswith("rookery_projection") else 'projection="posts",topic="posts",partition="3"'
    return f"{name}{{{','.join(filter(None, (labels.rstrip('}'), given)))}}}"


def test_each_alert_fires_when_it_must_and_none_when_all_is_well(promtool: str, tmp_path: Path) -> None:
    tests = [
        {
            "interval": "1m",
            "input_series": [{"series": labelled(series), "values": values}],
            "promql_expr_test": [
                {
                    "expr": f'count(ALERTS{{alertname="{alert}",alertstate="firing"}})',
                    "eval_time": at,
                    "exp_samples": [{"labels": "{}", "value": 1}],
                }
            ],
        }
        for alert, (series, values, at) in FIRES.items()
    ]
    quiet = {
        "interval": "1m",
        "input_series": [{"series": labelled(series), "values": values} for series, values in QUIET],
        "promql_expr_test": [{"expr": "count(ALERTS)", "eval_time": at, "exp_samples": []} for at in ("5m", "30m")],
    }
    page = tmp_path / "alerts_test.yml"
    page.write_text(yaml.safe_dump({"rule_files": [str(FOLDER / "alerts.yml")], "tests": [*tests, quiet]}))
    done = subprocess.run([promtool, "test", "rules", page], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
