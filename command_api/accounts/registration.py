"""People get their accounts: names and key in the vault first, then the event; what was cut short is finished later.

The vault's row has the person's id before anything is in the log. Should the process die in between, signing in, or
registering again with the same name and password, appends the event with that same id.
"""

from collections.abc import Iterable, Sequence
from itertools import islice
from uuid import UUID

from command_api.accounts.commands.register_user import RegisterUser
from command_api.accounts.passwords import hash_password, is_password
from command_api.dispatch import BATCH_COMMANDS, Outcome, dispatch, dispatch_batch
from command_api.vault import people
from command_api.vault.people import Credentials, Person
from shared.ids import micros_of, mint


def register(username: str, email: str, display_name: str, password: str, now: int) -> tuple[Person, Outcome]:
    """A new person, or one whose registration was cut short; `username` is folded, `now` in microseconds since 1970.

    Raises Conflict pointing at the field that is taken.
    """
    found = people.by_username(username)
    if found is None and people.by_email(email) is not None:
        raise people.taken("email")
    if found is not None:
        return _resume(found, email, password)
    credentials = Credentials(mint(now), username, email, display_name, hash_password(password), now)
    people.add(credentials)
    person = people.by_id(credentials.user_id)
    if person is None:
        raise people.taken("username")  # erased between two statements
    return person, complete(person)


def complete(person: Person) -> Outcome:
    """Appends UserRegistered for an account of the vault; unchanged when that was done."""
    command = RegisterUser(person.user_id, person.username, person.display_name)
    return dispatch(command, now=micros_of(person.created_at))


def register_batch(rows: Iterable[tuple[UUID, str, str, str, str, int]]) -> list[Outcome]:
    """Registers (user_id, username, email, display_name, password_hash, now) each, a thousand to a transaction.

    Usernames are folded and known to be valid. Repeating it adds nobody twice.
    """
    outcomes: list[Outcome] = []
    remaining = iter(rows)
    while batch := [Credentials(*row) for row in islice(remaining, BATCH_COMMANDS)]:
        people.add_many(batch)
        commands = [RegisterUser(one.user_id, one.username, one.display_name) for one in batch]
        outcomes.extend(dispatch_batch(commands, _times(batch)))
    return outcomes


def _times(batch: Sequence[Credentials]) -> list[int]:
    return [one.now for one in batch]


def _resume(person: Person, email: str, password: str) -> tuple[Person, Outcome]:
    if person.email.casefold() != email.casefold() or not is_password(password, person.password):
        raise people.taken("username")
    outcome = complete(person)
    if not outcome.changed:
        raise people.taken("username")
    return person, outcome
