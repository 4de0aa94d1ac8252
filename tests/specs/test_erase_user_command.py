"""EraseUser: final, repeatable, under an exclusive lock."""

from command_api.accounts.commands.erase_user import EraseUser, reads
from schemas.types import UserErased
from shared.errors import NotFound
from tests.specs.command_cases import ANA, NOBODY, erased, refused, then, unchanged


def test_a_person_is_erased() -> None:
    assert isinstance(then([], EraseUser(ANA), subject_id=ANA), UserErased)


def test_again_changes_nothing() -> None:
    unchanged([erased(ANA)], EraseUser(ANA), since=erased(ANA))


def test_nobody_cannot_be_erased() -> None:
    refused([], EraseUser(NOBODY), NotFound)


def test_everything_by_and_towards_them_waits() -> None:
    assert reads(EraseUser(ANA)).exclusive
