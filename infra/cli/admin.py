"""`rookery admin`: who administers this installation; an ordinary account, registered and given a role by events."""

import getpass
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from infra.cli.output import print_json, screen
from infra.local import installation as installations
from infra.local.failures import LocalError

if TYPE_CHECKING:
    from command_api.accounts.administration import Done

application = typer.Typer(no_args_is_help=True, help="Give and take the role of an administrator.")
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]


@application.command()
def create(
    username: Annotated[str, typer.Argument(help="3 to 30 of a-z, 0-9 and _.")],
    email: Annotated[str, typer.Option(help="Their e-mail address, which they may also sign in by.")],
    display_name: Annotated[str, typer.Option(help="How they are shown; the username when left out.")] = "",
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input, for scripts.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Register an administrator, or make one of somebody who has an account. Twice is as good as once."""
    _open()
    from command_api.accounts import administration

    def carry_out() -> "Done":
        person = administration.find(username, email)
        if person is not None:
            return administration.promote(person)
        return administration.create(username, email, display_name, _password(password_stdin))

    done = _attempt(carry_out)
    account = "registered" if done.registered else "had an account"
    _show(done, f"{account}, {'is an administrator now' if done.changed else 'was an administrator already'}", as_json)


@application.command()
def revoke(
    username: Annotated[str, typer.Argument(help="Who is no administrator any more.")], as_json: AsJson = False
) -> None:
    """Take the role away; access tokens that carry it are good for 15 minutes more."""
    _open()
    from command_api.accounts import administration

    done = _attempt(lambda: administration.revoke(username))
    _show(done, "is no administrator any more" if done.changed else "was no administrator", as_json)


def _open() -> None:
    """The command side in this process, on this installation's databases."""
    installations.current()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "command_api.settings.base")
    import django

    django.setup()


def _password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.read().removesuffix("\n")
    if not sys.stdin.isatty():
        raise LocalError("there is no terminal to ask for a password on: give it by --password-stdin")
    password = getpass.getpass("Password: ")
    if getpass.getpass("Again: ") != password:
        raise LocalError("the two passwords are not the same")
    return password


def _attempt(carry_out: "Callable[[], Done]") -> "Done":
    """Refusals, and servers that are away, as an operator can act on them."""
    import django.db
    import psycopg

    from shared.errors import RookeryError

    try:
        return carry_out()
    except RookeryError as error:
        wrong = [f"{one.pointer.lstrip('/')}: {one.detail}" for one in error.errors]
        raise LocalError("; ".join(wrong) or error.detail or error.title) from error
    except (django.db.Error, psycopg.Error) as error:
        raise LocalError(f"{str(error).strip()}: is everything up (`rookery status`)?") from error


def _show(done: "Done", what: str, as_json: bool) -> None:
    if as_json:
        print_json(asdict(done))
        return
    later = "" if done.in_log else "; Kafka does not answer, so the relay will append it to the log later"
    screen.print(f"[bold]{escape(done.username)}[/] ({done.user_id}) {what}{later}", soft_wrap=True)
