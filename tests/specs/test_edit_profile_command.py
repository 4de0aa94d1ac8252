"""EditProfile: what is given changes; avatars are refused as long as they cannot be kept."""

import pytest

from command_api.accounts.commands.edit_profile import EditProfile, reads
from schemas.types import ProfileEdited
from shared.errors import Unauthenticated, ValidationFailed
from tests.specs.command_cases import (
    ANA,
    EVERYBODY,
    NOBODY,
    erased,
    identifier,
    made_private,
    refused,
    then,
    unchanged,
)


def test_what_is_given_changes_and_the_rest_is_left_out() -> None:
    draft = then(
        [], EditProfile(actor_id=ANA, bio=""), subject_id=ANA, bio="", display_name=None, language=None, private=None
    )
    assert isinstance(draft, ProfileEdited)
    then([], EditProfile(actor_id=ANA, display_name="x" * 80, bio="ü" * 500, language="de"), language="de")


def test_nothing_given_changes_nothing() -> None:
    unchanged([], EditProfile(actor_id=ANA), since=EVERYBODY[0])
    unchanged([], EditProfile(actor_id=ANA, private=False), since=EVERYBODY[0])
    unchanged([made_private(ANA)], EditProfile(actor_id=ANA, private=True), since=made_private(ANA))


def test_an_account_is_made_private_and_public_again() -> None:
    then([], EditProfile(actor_id=ANA, private=True), private=True, display_name=None)
    then([made_private(ANA)], EditProfile(actor_id=ANA, private=False), private=False)
    then([made_private(ANA)], EditProfile(actor_id=ANA, bio="x", private=True), private=None, bio="x")
    edit = ProfileEdited(event_id=identifier(160), occurred_at=0, subject_id=ANA, bio="x")
    unchanged([made_private(ANA), edit], EditProfile(actor_id=ANA, private=True), since=edit)


def test_who_looks_at_a_person_waits_while_they_become_private_and_for_nothing_else() -> None:
    assert reads(EditProfile(actor_id=ANA, private=True)).exclusive
    assert not reads(EditProfile(actor_id=ANA, bio="x")).exclusive


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"display_name": " "}, "/display_name"),
        ({"display_name": "x" * 81}, "/display_name"),
        ({"display_name": "a\x00"}, "/display_name"),
        ({"bio": "x" * 501}, "/bio"),
        ({"bio": "\x00"}, "/bio"),
        ({"avatar_media_id": identifier(1)}, "/avatar_media_id"),
    ],
)
def test_what_a_profile_may_not_say(fields: dict[str, object], pointer: str) -> None:
    refused([], EditProfile(actor_id=ANA, **fields), ValidationFailed, pointer)  # type: ignore[arg-type]


def test_only_people_have_profiles() -> None:
    refused([], EditProfile(actor_id=NOBODY, bio="x"), Unauthenticated)
    refused([erased(ANA)], EditProfile(actor_id=ANA, bio="x"), Unauthenticated)
