"""The demo reaches its end on a part of the graph, finds its data when run again, and the pages' commands work.

The oracle is what the programs themselves check at every step; here it is their exit status, their figures, and that a
second run adds nothing to the seeded data. How fast anything is, is not judged.
"""

import json
import re
import subprocess
import sys
from secrets import token_hex

import httpx
import psycopg
import pytest

from infra.demo import generate
from shared import ids
from shared.environment import REPOSITORY, Environment

PEOPLE = 40
SECONDS_MAX = 240
QUANTILES = ("feed_page_ms", "write_ms", "write_visible_ms", "like_frame_ms", "feed_cold_ms")


@pytest.fixture(scope="module")
def demo(servers: Environment) -> tuple[Environment, str]:
    """The environment after a run of the demo, and what it told on its way. It brings everything up by itself."""
    return servers, run_demo()


def run_demo() -> str:
    command = [sys.executable, "-c", f"import sys; from infra.demo.run import main; sys.exit(main({PEOPLE}))"]
    done = subprocess.run(
        command,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout + done.stderr


def seeded(environment: Environment) -> dict[str, int]:
    """How many rows of the command side the demo's people made before the plan's end."""
    with psycopg.connect(environment.vault_database_url) as vault:
        names = [generate.username(index) for index in range(PEOPLE)]
        user_ids = [row[0] for row in vault.execute("select user_id from account where username = any(%s)", (names,))]
    first = min(user_ids)
    end = ids.mint(generate.moment_of(first), random=bytes(8))
    with psycopg.connect(environment.command_database_url) as command:
        count = {"people": len(user_ids)}
        for table, author, key in (
            ("post", "author_id", "post_id"),
            ("comment", "author_id", "comment_id"),
            ("reaction", "actor_id", "last_event"),
        ):
            row = command.execute(
                f"select count(*) from {table} where {author} = any(%s) and {key} < %s", (user_ids, end)
            )
            count[table] = row.fetchall()[0][0]
    return count


def test_the_demo_succeeds_twice_and_seeds_once(demo: tuple[Environment, str]) -> None:
    environment, _ = demo
    figures = json.loads((environment.var / "demo.json").read_text())
    for name in QUANTILES:
        assert 0 < figures[name]["p50"] <= figures[name]["p99"], name
    assert figures["commands_per_second"] > 0 and figures["projected_seconds"] >= 0

    plan = generate.plan(10**15, PEOPLE)  # whatever the moment, the counts are the same
    likes = sum(action.kind == generate.LIKE for action in plan.actions)
    wanted = {"people": PEOPLE, "post": len(plan.posts), "comment": len(plan.comments), "reaction": likes}
    assert seeded(environment) == wanted

    again = run_demo()
    assert f"found the data of {PEOPLE} people" in again
    assert seeded(environment) == wanted
    kept = json.loads((environment.var / "demo.json").read_text())
    assert kept["commands_per_second"] == figures["commands_per_second"]
    assert kept["runs"] == figures["runs"] + 1


def test_the_tour_in_readme_works(demo: tuple[Environment, str]) -> None:
    environment, _ = demo
    (tour,) = re.findall(r"^```sh\n(.*?)^```", (REPOSITORY / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    # The tour follows one of those whom the whole graph has; its newcomer must be new each time.
    followed = re.search(r"/users/(\w+)/follow/", tour)
    assert followed is not None and followed[1] == generate.username(int(re.sub(r"\D", "", followed[1])))
    tour = tour.replace(followed[1], generate.username(1)).replace("corvus", f"corvus_{token_hex(4)}")
    tour = tour.replace("http://127.0.0.1:7400", environment.gateway_url)
    done = subprocess.run(
        ["/bin/bash", "-euo", "pipefail", "-c", tour], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout
    assert "X-Consistency: fresh" in done.stdout and '"ticket"' in done.stdout
    assert '"score"' in done.stdout


@pytest.mark.parametrize("page", ["README.md", "docs/tour.md"])
def test_the_commands_that_look_into_a_running_system_work(demo: tuple[Environment, str], page: str) -> None:
    environment, _ = demo
    text = (REPOSITORY / page).read_text()
    commands = re.findall(
        r"^    ((?:make (?!demo|test|down)|\.venv/bin/rookery |psql ).*?)(?:  +#.*)?$", text, re.MULTILINE
    )
    assert len(commands) >= 4
    for command in commands:
        if " logs -f" in command:
            continue  # it goes on until it is ended
        # The same figures, and the same records, once.
        here = command.replace(" 7410 ", f" {environment.ports['postgres']} ")
        here = here.replace(" lag --watch", " lag").replace(" events tail -f", " events tail")
        if "admin create" in command:
            here = here.replace("ana", f"ana_{token_hex(4)}") + " --password-stdin"
        done = subprocess.run(
            ["/bin/bash", "-euo", "pipefail", "-c", here],
            cwd=REPOSITORY,
            input="a password of theirs\n",
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{here}\n{done.stderr}{done.stdout}"


def test_the_documentation_is_where_readme_says(demo: tuple[Environment, str]) -> None:
    environment, told = demo
    address = f"{environment.gateway_url}/api/docs/"
    assert address in told
    assert httpx.get(address).status_code == 200
