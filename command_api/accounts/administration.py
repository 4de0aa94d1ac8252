"""The first administrator, and any other: an ordinary account that is given a role; repeating it changes nothing."""

from dataclasses import dataclass
from uuid import UUID

from command_api.accounts.commands.grant_role import GrantRole
from command_api.accounts.commands.revoke_role import RevokeRole
from command_api.accounts.passwords import require_acceptable
from command_api.accounts.registration import complete, register
from command_api.accounts.shapes import Registration
from command_api.accounts.state import ADMIN
from command_api.dispatch import Outcome, dispatch_batch
from command_api.vault import people
from command_api.vault.people import Person
from shared import clock
from shared.errors import Conflict, FieldError, NotFound


@dataclass(frozen=True)
class Done:
    """What became of it. `changed`: the role was given or taken just now; `in_log`: Kafka has acknowledged it."""

    user_id: UUID
    username: str
    registered: bool
    changed: bool
    in_log: bool


def find(username: str, email: str) -> Person | None:
    """Who has this name already. Raises Conflict where that is somebody with another e-mail address."""
    person = people.by_username(username)
    if person is not None and person.email.casefold() != email.casefold():
        detail = f"{person.username} exists, with another e-mail address"
        raise Conflict(detail, [FieldError("/email", detail)])
    return person


def create(username: str, email: str, display_name: str, password: str) -> Done:
    """A new account with the role of an administrator. Raises ValidationFailed and Conflict as registering does."""
    given = {"username": username, "email": email, "password": password}
    body = Registration.checked(given | ({"display_name": display_name} if display_name else {}))
    require_acceptable(body["password"], body["password"])
    shown = body.get("display_name", "").strip() or body["username"]
    person, outcome = register(body["username"], body["email"], shown, body["password"], clock.now())
    return _done(person, _given(person), registered=outcome.changed)


def promote(person: Person) -> Done:
    """The role for somebody who is there; a registration that was cut short is finished first."""
    registered = complete(person).changed
    return _done(person, _given(person), registered=registered)


def revoke(username: str) -> Done:
    """Takes the role from somebody; tokens that carry it are over after 15 minutes. Raises NotFound."""
    person = people.by_username(username)
    if person is None:
        raise NotFound(f"there is no {username}")
    return _done(person, _one(dispatch_batch([RevokeRole(person.user_id, ADMIN)])), registered=False)


def _given(person: Person) -> Outcome:
    return _one(dispatch_batch([GrantRole(person.user_id, ADMIN)]))


def _one(outcomes: list[Outcome]) -> Outcome:
    """A batch waits longer for the log than a request may, and this process has only just met the broker."""
    if outcomes[0].rejection is not None:
        raise outcomes[0].rejection
    return outcomes[0]


def _done(person: Person, outcome: Outcome, *, registered: bool) -> Done:
    return Done(person.user_id, person.username, registered, outcome.changed, outcome.position is not None)
