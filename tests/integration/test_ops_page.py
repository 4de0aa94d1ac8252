"""Claim: whoever looks at /ops/ sees what becomes of a projection, in a real browser, at any width, scripts or not.

Oracle: a worker of the test's own that is frozen and thawed while events are appended; the DOM that the browser made
of the page, its computed colours and sizes. Cannot catch: whether it is liked; pictures stay in the test's folder.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.local import programs
from infra.local.installation import Installation, run_directory
from projectors.catalogue import PROJECTIONS
from shared.environment import REPOSITORY, Environment
from tests.integration.browser import Page, browsing
from tests.properties.projections import POSTGRES_PROJECTIONS
from tests.query_api.serving import free_port
from tests.runtime.engine import Engine, Ids, Log, own_engine
from tests.runtime.history import Town
from tests.runtime.workers import Worker, Workers, wait_until

STATE = "document.querySelector('[data-projection=counters]')?.dataset.state"
LAG = "Number(document.querySelector('[data-projection=counters] .lag').dataset.lag)"
WORD = "document.querySelector('[data-projection=counters] .state').innerText"
# WCAG 2's contrast of each text on the page with what lies behind it: the least.
CONTRAST = """(() => {
  const parse = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const colour = parse(getComputedStyle(each).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const texts = [...document.querySelectorAll('body *')].filter((each) =>
    each.checkVisibility() && [...each.childNodes].some((node) => node.nodeType === 3 && node.data.trim()));
  return Math.min(...texts.map((each) => {
    const pair = [light(parse(getComputedStyle(each).color)), light(behind(each))].sort((a, b) => b - a);
    return (pair[0] + 0.05) / (pair[1] + 0.05);
  }));
})()"""


@pytest.fixture
def engine(servers: Environment) -> Iterator[Engine]:
    with own_engine(*POSTGRES_PROJECTIONS.values()) as made:
        # The feed of the running installation is about other topics.
        made.environ = {
            **made.environ,
            "REDIS_URL": f"{servers.redis_url.rpartition('/')[0]}/9",
            "ROOKERY_LAG_STALLED_SECONDS": "2",
        }
        yield made


@pytest.fixture
def monitor(workers: Workers) -> str:
    """The address of a monitor of the test's own."""
    address = f"127.0.0.1:{free_port()}"
    workers.start("-m", "infra.monitor.serve", "--bind", address)
    url = f"http://{address}"

    def ready() -> bool:
        try:
            return httpx.get(f"{url}/readyz", timeout=5, trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    wait_until(60, ready)
    return url


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    folder = tmp_path / "browser"
    folder.mkdir()
    with browsing(folder) as made:
        yield made


def filled(engine: Engine, seed: int) -> None:
    Log(engine.environment).append(Town(Ids(seed), people=20).events(400))


def counters_worker(workers: Workers) -> Worker:
    # It stays a member of its group while it is frozen, as one does that hangs.
    return workers.start(ROOKERY_WORKER_SESSION_SECONDS="60", ROOKERY_WORKER_REQUEST_SECONDS="60")


def until(page: Page, state: str) -> None:
    wait_until(60, lambda: page.value(STATE) == state, every=0.2)


def test_a_frozen_worker_is_seen_and_seen_to_recover(
    engine: Engine, workers: Workers, monitor: str, page: Page, tmp_path: Path
) -> None:
    page.open(f"{monitor}/ops/")
    until(page, "never_started")
    page.value("window.opened = 'once'")
    page.value("document.querySelector('#all-counters').open = true")
    worker = counters_worker(workers)
    until(page, "idle")
    filled(engine, 3)
    wait_until(60, lambda: page.value(STATE) == "idle" and page.value(LAG) == 0.0)

    worker.freeze()
    filled(engine, 4)
    until(page, "stalled")
    assert "stalled" in page.value(WORD)
    assert page.value(LAG) > 2.0
    assert "counters" in page.value("document.querySelector('[data-verdict]').innerText")
    page.picture(tmp_path / "stalled.png")
    worker.thaw()
    until(page, "idle")
    assert page.value(LAG) == 0.0

    assert page.value("window.opened") == "once", "the page was never loaded anew"
    assert page.value("document.querySelector('#all-counters').open"), "what was opened stays open"
    drawn = page.value("document.querySelector('[data-projection=counters] .line').getAttribute('points')")
    assert len({point.split(",")[1] for point in drawn.split()}) > 2, "the line shows what happened"
    assert page.complaints == [], "nothing breaks the page's own security policy"


def test_it_works_without_scripts_and_reloads_itself(
    engine: Engine, workers: Workers, monitor: str, page: Page
) -> None:
    page.scripts(False)
    page.open(f"{monitor}/ops/")
    first = page.value("performance.timeOrigin")
    assert page.value("document.querySelectorAll('[data-projection]').length") == len(PROJECTIONS)
    counters_worker(workers)
    until(page, "idle")
    assert page.value("performance.timeOrigin") > first


@pytest.mark.parametrize("dark", [False, True])
def test_it_can_be_read_at_any_width_light_or_dark(monitor: str, page: Page, tmp_path: Path, dark: bool) -> None:
    page.dark(dark)
    for width in (360, 800, 1400):
        page.wide(width)
        page.open(f"{monitor}/ops/")
        page.picture(tmp_path / f"{width}-{'dark' if dark else 'light'}.png")
        assert page.value("document.documentElement.scrollWidth") <= width, "nothing is cut off or scrolls sideways"
        assert page.value(CONTRAST) >= 4.5, "WCAG 2 AA"
        tree = page.call("Accessibility.getFullAXTree")["nodes"]
        roles = [node["role"]["value"] for node in tree if not node["ignored"]]
        assert roles.count("rowheader") >= len(PROJECTIONS) and "table" in roles, "laid out as cards, still a table"
        assert roles.count("columnheader") >= 8


def test_nothing_leads_there_but_its_own_port(servers: Environment) -> None:
    for path in ("/ops/", "/metrics", "/projections"):
        assert httpx.get(f"{servers.gateway_url}{path}", timeout=10).status_code == 404
    installation = Installation(servers, run_directory(servers.var))
    (monitor,) = [each for each in programs.processes(installation) if each.name == "monitor"]
    assert monitor.command[1:] == ["-m", "infra.monitor.serve", "--bind", f"127.0.0.1:{servers.ports['monitor']}"]
    assert monitor.command[0] == sys.executable and (REPOSITORY / "infra" / "monitor" / "serve.py").exists()


def test_what_the_monitor_answers(servers: Environment) -> None:
    url = f"http://127.0.0.1:{servers.ports['monitor']}"
    with httpx.Client(base_url=url, timeout=10, trust_env=False) as client:
        assert client.get("/healthz").json() == {"status": "ok"}
        assert client.get("/nothing").status_code == 404
        assert client.get("/").headers["Location"] == "/ops/"
        answer = client.get("/ops/")
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert "unsafe" not in answer.headers["Content-Security-Policy"]
        document: dict[str, Any] = client.get("/projections").json()
    assert [each["projection"] for each in document["projections"]] == [each.name for each in PROJECTIONS]
