"""RegisterUser: once, and repeating it finishes what was cut short."""

from command_api.accounts.commands.register_user import RegisterUser, decide, reads
from command_api.accounts.state import REGISTERING, Account
from command_api.decision import State
from schemas.types import UserRegistered
from shared.errors import Conflict
from tests.specs.command_cases import ANA, NOBODY, erased, refused, registered, then, unchanged


def test_a_new_person_is_registered() -> None:
    then([], RegisterUser(NOBODY, "dora", "Dora"), subject_id=NOBODY, username="dora", display_name="Dora")


def test_a_row_that_was_only_made_to_be_locked_is_no_registration() -> None:
    state = State()
    state.accounts[NOBODY] = Account(NOBODY, REGISTERING)
    assert isinstance(decide(RegisterUser(NOBODY, "dora", "Dora"), state), UserRegistered)


def test_again_changes_nothing() -> None:
    unchanged([], RegisterUser(ANA, "ana", "Ana"), since=registered(ANA))


def test_an_erased_person_stays_erased() -> None:
    refused([erased(ANA)], RegisterUser(ANA, "ana", "Ana"), Conflict)


def test_its_account_row_is_made() -> None:
    assert reads(RegisterUser(NOBODY, "dora", "Dora")).new_account
