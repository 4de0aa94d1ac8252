"""What the demo prints at its end and keeps in var/demo.json; it has run the curl commands that it prints."""

import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from infra.demo.client import Answer, DemoFailure
from infra.demo.measure import Measured, Quantiles

CURL_SECONDS_MAX = 30
TITLES = {
    "feed_cold_ms": "home feed, cold: filled from PostgreSQL",
    "feed_page_ms": "home feed page, ranked, warm",
    "write_ms": "publish a post, acknowledged by Kafka",
    "write_visible_ms": "publish → in the follower's feed",
    "write_token_read_ms": "follower's feed read with the write's token",
    "like_frame_ms": "like → frame on the author's WebSocket",
}


def load(path: Path) -> dict[str, Any]:
    """The figures of an earlier run; none where there was none."""
    return dict(json.loads(path.read_text())) if path.exists() else {}


def merge(figures: dict[str, Any], measured: Measured) -> dict[str, Any]:
    """What was measured now, and what only earlier runs could measure: seeding, and cold feeds at times."""
    merged = dict(figures)
    for name, value in measured._asdict().items():
        if isinstance(value, Quantiles):
            merged[name] = value._asdict()
        elif value is not None:
            merged[name] = value
    merged["measured_at"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    merged["cores"] = os.cpu_count()
    return merged


def save(path: Path, figures: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(figures, indent=2) + "\n")
    temporary.replace(path)


def show_feed(console: Console, name: str, page: Answer) -> None:
    """The top of somebody's ranked feed, with what each post's score is made of."""
    table = Table(title=f"@{name}'s ranked home feed", title_justify="left", box=None, pad_edge=False)
    for heading in ("author", "post", "likes", "comments", "hours", "affinity", "score"):
        if heading == "post":
            table.add_column(heading, no_wrap=True, overflow="ellipsis", max_width=50)
        else:
            table.add_column(heading, justify="left" if heading == "author" else "right", no_wrap=True, min_width=8)
    for item in page.body["items"]:
        post, why = item["post"], item["explain"]
        table.add_row(
            f"@{post['author']['username']}",
            post["content"].replace("[", r"\["),
            str(post["counts"]["likes"]),
            str(post["counts"]["comments"]),
            f"{why['age_hours']:.1f}",
            f"{why['affinity']:.2f}",
            f"{why['score']:.3f}",
        )
    console.print(table)


def show_figures(console: Console, figures: dict[str, Any]) -> None:
    table = Table(title="Measured here", title_justify="left", box=None, pad_edge=False)
    for heading in ("", "p50", "p99"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, title in TITLES.items():
        if name in figures:
            table.add_row(title, f"{figures[name]['p50']:.1f} ms", f"{figures[name]['p99']:.1f} ms")
    console.print(table)
    if "commands_per_second" in figures:
        console.print(
            f"{figures['commands']:,} commands at {figures['commands_per_second']:,.0f}/s through decide, guards,"
            f" outbox and log; every projection had them {figures['projected_seconds']:.1f} s after the last."
        )


def curl_commands(gateway_url: str, username: str, password: str) -> list[str]:
    """Three lines to paste into a shell one after the other: log in, read, write."""
    api = f"{gateway_url}/api/v1"
    body = json.dumps({"username": username, "password": password})
    token = """python3 -c 'import json, sys; print(json.load(sys.stdin)["access"])'"""
    return [
        f"TOKEN=$(curl -fsS {api}/auth/login/ -H 'Content-Type: application/json' -d '{body}' | {token})",
        f"""curl -fsS "{api}/feed/home/?sort=ranked&limit=3&explain=1" -H "Authorization: Bearer $TOKEN" """.rstrip(),
        f"""curl -fsS {api}/posts/ -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' """
        """-d '{"content": "Hello from a shell #rookery"}'""",
    ]


def try_commands(commands: list[str]) -> None:
    """Runs them as a reader would. Raises DemoFailure unless each answers. Without curl there is nothing to try."""
    if shutil.which("curl") is None or shutil.which("python3") is None:
        return
    script = "set -eu\n" + "\n".join(commands)
    done = subprocess.run(
        ["/bin/sh", "-c", script], capture_output=True, text=True, timeout=CURL_SECONDS_MAX, check=False
    )
    if done.returncode:
        raise DemoFailure(f"the printed curl commands failed with {done.returncode}: {done.stderr}{done.stdout[:500]}")


def show_addresses(console: Console, gateway_url: str, commands: list[str], path: Path) -> None:
    console.print(f"[bold]Running[/] at {gateway_url}", highlight=False)
    console.print(f"  API documentation  {gateway_url}/api/docs/", highlight=False)
    console.print(f"  WebSocket          {gateway_url.replace('http', 'ws', 1)}/ws/notifications/", highlight=False)
    console.print(f"  these figures      {path}", highlight=False)
    console.print("[bold]Try[/] (paste as they are):", highlight=False)
    for command in commands:
        # Printed raw and unwrapped, so that what is copied is what was tried.
        console.print(f"  {command}", markup=False, highlight=False, soft_wrap=True)
    console.print("[bold]Stop[/] with `make down`; the data stay in var/.", highlight=False)
