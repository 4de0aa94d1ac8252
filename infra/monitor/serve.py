"""One process that looks at every projection each two seconds, and tells whoever asks what it saw.

python -m infra.monitor.serve --bind 127.0.0.1:7407

`/ops/` is a page for people, `/metrics` for Prometheus, `/projections` JSON for the query API's staff route; `/healthz`
and `/readyz` for whoever runs it. It asks nobody who they are, so it listens on loopback (in a container: on its
network) and the gateway does not lead to it. It can only read: its database role may SELECT and no more.
"""

import argparse
import asyncio
import json
import logging
import signal
import socket
import threading
import time
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from infra.monitor import page
from infra.monitor.exposition import exposition, registry_of
from projectors.catalogue import PROJECTIONS
from projectors.runtime.lag_figures import Report, document
from projectors.runtime.lag_observer import LagObserver
from shared.environment import Environment, environment

log = logging.getLogger("infra.monitor")
LOOK_SECONDS = 2.0
# Older figures are told to nobody as if they were of now.
OLD_SECONDS = 30.0
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Monitor:
    """Looks until `stop`; everything else may be called from any thread."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._stopping = asyncio.Event()
        self._report: Report | None = None
        # Of the past only what is drawn: whole reports of ten minutes would be tens of megabytes.
        self._trail: deque[tuple[float, dict[str, float | None]]] = deque(maxlen=int(page.TRAIL_SECONDS / LOOK_SECONDS))
        self._trouble = "starting"
        self.registry = registry_of(self.newest, self.last_look)

    def stop(self) -> None:
        self._stopping.set()

    async def run(self) -> None:
        async with LagObserver(self._environment, PROJECTIONS) as observer:
            while not self._stopping.is_set():
                began = time.monotonic()
                try:
                    self._remember(await observer.look())
                except Exception as error:  # whatever one look met, the next may not
                    log.exception("a look failed")
                    self._trouble = f"{type(error).__name__}: {error}"
                left = LOOK_SECONDS - (time.monotonic() - began)
                try:
                    await asyncio.wait_for(self._stopping.wait(), max(0.05, left))
                except TimeoutError:
                    continue

    def newest(self) -> Report | None:
        """The last report, None once it is old."""
        report = self._report
        return report if report is not None and time.time() - report.at < OLD_SECONDS else None

    def last_look(self) -> float:
        """Unix seconds; 0 before the first."""
        return self._report.at if self._report is not None else 0.0

    def trail(self) -> list[tuple[float, dict[str, float | None]]]:
        """Each projection's lag over the last ten minutes, oldest first."""
        return list(self._trail)

    def readiness(self) -> dict[str, Any]:
        report = self.newest()
        troubles = list(report.troubles) if report is not None else [self._trouble or "the last look is old"]
        return {"status": "unavailable" if troubles else "ok", "troubles": troubles}

    def _remember(self, report: Report) -> None:
        self._report = report
        self._trail.append((report.at, {each.projection: each.lag_seconds for each in report.projections}))
        # A line when something begins or ends to be wrong, not one every two seconds.
        trouble = ", ".join(report.troubles)
        if trouble != self._trouble:
            log.warning("%s", trouble) if trouble else log.info("everything answers")
        self._trouble = trouble


class Server(ThreadingHTTPServer):
    """Answers from the monitor's memory: no question costs the stores or the broker anything."""

    daemon_threads = True

    def __init__(self, bind: str, monitor: Monitor) -> None:
        host, _, port = bind.rpartition(":")
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.monitor = monitor
        super().__init__((host.strip("[]"), int(port)), Handler)


class Handler(BaseHTTPRequestHandler):
    timeout = 10  # seconds for a client to send its request
    server: Server

    def do_GET(self) -> None:
        monitor = self.server.monitor
        path = self.path.partition("?")[0]
        if path == "/healthz":
            self._json(200, {"status": "ok"})
        elif path == "/readyz":
            state = monitor.readiness()
            self._json(200 if state["status"] == "ok" else 503, state)
        elif path == "/metrics":
            self._send(200, METRICS_TYPE, exposition(monitor.registry))
        elif path == "/projections":
            report = monitor.newest()
            self._json(503, monitor.readiness()) if report is None else self._json(200, document(report))
        elif path in ("/ops/", "/ops/fragment"):
            made = page.page if path == "/ops/" else page.fragment
            text = made(monitor.newest(), monitor.trail(), time.time())
            self._send(200, "text/html; charset=utf-8", text.encode(), **page.HEADERS)
        elif path in ("/", "/ops"):
            self._send(302, "text/plain", b"", Location="/ops/")
        else:
            self._json(404, {"status": "not found"})

    def _json(self, status: int, value: dict[str, Any]) -> None:
        self._send(status, "application/json", json.dumps(value).encode())

    def _send(self, status: int, content_type: str, body: bytes, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        pass  # a question every few seconds is no news


async def serve(bind: str) -> None:
    monitor = Monitor(environment())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, monitor.stop)
    server = Server(bind, monitor)
    threading.Thread(target=server.serve_forever, name="http", daemon=True).start()
    await monitor.run()
    server.shutdown()


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--bind", default=f"127.0.0.1:{environment().ports['monitor']}", help="HOST:PORT")
    asyncio.run(serve(parser.parse_args().bind))


if __name__ == "__main__":
    main()
