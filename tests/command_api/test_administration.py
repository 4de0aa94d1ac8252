"""Claim: `rookery admin create` makes an administrator by events, once; tokens carry the role from the next one on.

Oracle: the log, the guard row, and the claims of tokens as the query side reads them. On real servers; once
as a person runs it, on a terminal. Cannot catch: what an operation does with the role.
"""

import json
import os
import pty
import subprocess
import sys
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
import pytest
from typer.testing import CliRunner

from infra.cli.admin import application
from infra.local.failures import LocalError
from query_api.access_tokens import load_token_reader
from shared.environment import REPOSITORY, environment
from tests.command_api.people import PASSWORD, copies_in_log, username
from tests.command_api.test_http import Api, register

ROOKERY = [sys.executable, "-m", "infra.cli.main", "admin"]


class Ran(NamedTuple):
    status: int
    out: str
    said: str


def run(*arguments: str, given: str = "") -> Ran:
    """In this process: starting one for each takes longer than all that it does."""
    done = CliRunner().invoke(application, arguments, input=given)
    if isinstance(done.exception, LocalError):
        return Ran(1, done.stdout, str(done.exception))
    assert done.exception is None, done.exception
    return Ran(done.exit_code, done.stdout, done.stderr)


def told(*arguments: str, given: str = "") -> dict[str, Any]:
    done = run(*arguments, "--json", given=given)
    assert done.status == 0, done.said
    answer: dict[str, Any] = json.loads(done.out)
    return answer


def create(name: str, given: str = PASSWORD, email: str = "") -> dict[str, Any]:
    return told("create", name, "--email", email or f"{name}@example.org", "--password-stdin", given=given)


def roles(access: str) -> tuple[str, ...]:
    return load_token_reader(environment().verifying_key_path).read(access).roles


def sign_in(name: str) -> Any:
    answer = Api().post("auth/login/", {"username": name, "password": PASSWORD})
    assert answer.status_code == 200, answer.content
    return answer.json()


def events_of(guards: psycopg.Connection[Any], user_id: str) -> list[Any]:
    return guards.execute(
        "select event_id, topic, partition, acked_offset from outbox where actor_id = %s order by event_id", (user_id,)
    ).fetchall()


def test_somebody_new_is_registered_and_an_administrator(guards: psycopg.Connection[Any]) -> None:
    name = username()
    first = create(name)
    assert (first["username"], first["registered"], first["changed"], first["in_log"]) == (name, True, True, True)
    user = sign_in(name)
    assert user["user"]["id"] == first["user_id"] and roles(user["access"]) == ("admin",)
    registered, granted = events_of(guards, first["user_id"])
    assert all(row[3] is not None for row in (registered, granted)), "both are acknowledged"
    assert (registered[1], registered[2]) == (granted[1], granted[2]) == ("accounts", granted[2])
    assert len(copies_in_log(granted[0], granted[1:])) >= 1

    again = create(name, given="")
    assert (again["user_id"], again["registered"], again["changed"]) == (first["user_id"], False, False)
    assert len(events_of(guards, first["user_id"])) == 2


def test_somebody_who_has_an_account_is_promoted_and_demoted() -> None:
    ana = register("Ana")
    name = ana.user["username"]
    assert roles(sign_in(name)["access"]) == ()
    done = create(name, given="", email=f"{name}@EXAMPLE.org")
    assert (done["user_id"], done["registered"], done["changed"]) == (ana.user["id"], False, True)
    refreshed = Api().post("auth/refresh/", {"refresh": ana.refresh}).json()
    assert roles(refreshed["access"]) == ("admin",), "the next token says so, without signing in again"

    taken = told("revoke", name)
    assert taken["changed"] and not told("revoke", name)["changed"]
    refreshed = Api().post("auth/refresh/", {"refresh": refreshed["refresh"]}).json()
    assert roles(refreshed["access"]) == ()


def test_who_edits_their_profile_keeps_the_role(guards: psycopg.Connection[Any]) -> None:
    name = username()
    done = create(name)
    api = Api(sign_in(name)["access"])
    assert api.patch("users/me/", {"bio": "I keep order"}).status_code == 200
    row = guards.execute("select state, roles from account where user_id = %s", (UUID(done["user_id"]),)).fetchone()
    assert row == ("active", "admin")


@pytest.mark.parametrize(
    ("name", "email", "password", "said"),
    [
        ("a b", "a@example.org", PASSWORD, "username: must be 3 to 30 of a-z, 0-9 and _"),
        ("fine_name", "nobody", PASSWORD, "email: "),
        ("fine_name", "a@example.org", "short", "password: "),
        ("fine_name", "a@example.org", "password123", "password: This password is too common"),
        ("fine_name", "a@example.org", "", "password: "),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_made(name: str, email: str, password: str, said: str) -> None:
    done = run("create", name, "--email", email, "--password-stdin", given=password)
    assert done.status == 1 and said in done.said
    assert done.out == ""


def test_the_command_line_ends_with_one_line_and_no_trace() -> None:
    command = [*ROOKERY, "create", "a b", "--email", "nobody", "--password-stdin"]
    done = subprocess.run(command, cwd=REPOSITORY, input="short", capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stdout == "" and len(done.stderr.strip().splitlines()) == 1
    assert "username: must be" in done.stderr and "email: " in done.stderr and "password: " in done.stderr


def test_somebody_else_is_not_promoted_by_mistake() -> None:
    ana, ben = register("Ana"), register("Ben")
    name = ana.user["username"]
    done = run("create", name, "--email", f"{ben.user['username']}@example.org")
    assert done.status == 1 and f"{name} exists, with another e-mail address" in done.said
    done = run("create", username(), "--email", f"{name}@example.org", "--password-stdin", given=PASSWORD)
    assert done.status == 1 and "email: this e-mail address has an account" in done.said
    assert roles(sign_in(name)["access"]) == ()
    done = run("revoke", username())
    assert done.status == 1 and "there is no" in done.said


def test_without_a_terminal_it_does_not_wait_for_a_password() -> None:
    name = username()
    done = run("create", name, "--email", f"{name}@example.org")
    assert done.status == 1 and "--password-stdin" in done.said


def test_on_a_terminal_it_asks_twice_and_shows_nothing() -> None:
    name = username()
    pid, terminal = pty.fork()
    if pid == 0:  # pragma: no cover - the child becomes the command
        os.chdir(REPOSITORY)
        os.execv(ROOKERY[0], [*ROOKERY, "create", name, "--email", f"{name}@example.org"])
    shown, answered = b"", 0
    while True:
        try:
            part = os.read(terminal, 1024)
        except OSError:  # Linux's way to say that the other side is closed
            break
        if not part:
            break
        shown += part
        if shown.count(b"Password: ") + shown.count(b"Again: ") > answered:
            answered += 1
            os.write(terminal, PASSWORD.encode() + b"\n")
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, shown
    assert answered == 2 and PASSWORD.encode() not in shown
    assert b"is an administrator now" in shown
    assert roles(sign_in(name)["access"]) == ("admin",)
