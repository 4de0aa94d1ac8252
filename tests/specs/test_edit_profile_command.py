"""EditProfile: what is given changes; private accounts and avatars are refused as long as they cannot be kept."""

import pytest

from command_api.accounts.commands.edit_profile import EditProfile
from schemas.types import ProfileEdited
from shared.errors import Unauthenticated, ValidationFailed
from tests.specs.command_cases import ANA, EVERYBODY, NOBODY, erased, identifier, refused, then, unchanged


def test_what_is_given_changes_and_the_rest_is_left_out() -> None:
    draft = then(
        [], EditProfile(actor_id=ANA, bio=""), subject_id=ANA, bio="", display_name=None, language=None, private=None
    )
    assert isinstance(draft, ProfileEdited)
    then([], EditProfile(actor_id=ANA, display_name="x" * 80, bio="ü" * 500, language="de"), language="de")


def test_nothing_given_changes_nothing() -> None:
    unchanged([], EditProfile(actor_id=ANA), since=EVERYBODY[0])
    unchanged([], EditProfile(actor_id=ANA, private=False), since=EVERYBODY[0])


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"display_name": " "}, "/display_name"),
        ({"display_name": "x" * 81}, "/display_name"),
        ({"display_name": "a\x00"}, "/display_name"),
        ({"bio": "x" * 501}, "/bio"),
        ({"bio": "\x00"}, "/bio"),
        ({"avatar_media_id": identifier(1)}, "/avatar_media_id"),
        ({"private": True}, "/private"),
    ],
)
def test_what_a_profile_may_not_say(fields: dict[str, object], pointer: str) -> None:
    refused([], EditProfile(actor_id=ANA, **fields), ValidationFailed, pointer)  # type: ignore[arg-type]


def test_only_people_have_profiles() -> None:
    refused([], EditProfile(actor_id=NOBODY, bio="x"), Unauthenticated)
    refused([erased(ANA)], EditProfile(actor_id=ANA, bio="x"), Unauthenticated)
