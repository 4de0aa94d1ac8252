"""Given what people registered and edited, then these profiles. Cannot catch: what SQL makes of the changes."""

from projectors.profiles.fold import PERSON, fold
from schemas.types import (
    AccountDeactivated,
    AccountReactivated,
    ErasureCancelled,
    ErasureRequested,
    ProfileEdited,
    UserErased,
    UserRegistered,
    UserSuspended,
    UserUnsuspended,
)
from tests.specs.fold_cases import ANA, BEN, at, delivered, erased, identifier, moment, one_of_each_kind, registered


def test_registration_names_a_person() -> None:
    changes = delivered(fold, registered(1, ANA, "ana"))
    assert changes.rows == {
        "person": {
            (ANA,): {
                "created": (identifier(1), ("ana", moment(1))),
                "display_name": (identifier(1), ("Ana",)),
            }
        }
    }


def test_the_newest_edit_of_each_field_stands_and_the_others_stay() -> None:
    changes = delivered(
        fold,
        registered(1, ANA, "ana"),
        at(2, ProfileEdited, ANA, bio="old", display_name="Ana B."),
        at(3, ProfileEdited, ANA, bio="new", avatar_media_id=identifier(9)),
        at(4, ProfileEdited, ANA, language="de", private=True),
        at(5, ProfileEdited, ANA, private=False),
        registered(6, BEN, "ben"),
    )
    assert changes.rows["person"][(ANA,)] == {
        "created": (identifier(1), ("ana", moment(1))),
        "display_name": (identifier(2), ("Ana B.",)),
        "bio": (identifier(3), ("new",)),
        "avatar": (identifier(3), (identifier(9),)),
        "language": (identifier(4), ("de",)),
        "private": (identifier(5), (False,)),
    }
    assert set(changes.rows["person"]) == {(ANA,), (BEN,)}


def test_an_emptied_bio_is_set_and_a_bio_left_out_is_not() -> None:
    changes = delivered(fold, at(1, ProfileEdited, ANA, bio="x"), at(2, ProfileEdited, ANA, bio=""))
    assert changes.rows["person"][(ANA,)] == {"bio": (identifier(2), ("",))}
    assert delivered(fold, at(1, ProfileEdited, ANA)).rows == {}


def test_each_reason_to_be_away_ends_by_its_own_word_alone() -> None:
    changes = delivered(
        fold,
        at(1, UserSuspended, ANA),
        at(2, AccountDeactivated, ANA),
        at(3, ErasureRequested, ANA, erase_after=moment(90)),
        at(4, AccountReactivated, ANA),
    )
    assert changes.rows["person"][(ANA,)] == {
        "suspension": (identifier(1), (True,)),
        "erasure_request": (identifier(3), (moment(90),)),
        "deactivation": (identifier(4), (False,)),
    }


def test_who_stays_is_to_be_erased_at_no_time() -> None:
    asked, stays = at(1, ErasureRequested, ANA, erase_after=moment(90)), at(2, ErasureCancelled, ANA)
    assert delivered(fold, asked, stays).rows["person"][(ANA,)] == {"erasure_request": (identifier(2), (None,))}
    lifted = delivered(fold, at(3, UserSuspended, BEN), at(4, UserUnsuspended, BEN))
    assert lifted.rows["person"][(BEN,)] == {"suspension": (identifier(4), (False,))}


def test_an_erased_person_is_declared_by_their_id() -> None:
    changes = delivered(fold, registered(1, ANA, "ana"), erased(2, ANA))
    assert changes.erased == {ANA: identifier(2)}
    assert PERSON.erased_with == ("user_id",)


def test_nothing_else_touches_profiles() -> None:
    answered = (
        UserRegistered, ProfileEdited, UserErased, AccountDeactivated, AccountReactivated, UserSuspended,
        UserUnsuspended, ErasureRequested, ErasureCancelled,
    )  # fmt: skip
    changes = delivered(fold, *(event for event in one_of_each_kind() if not isinstance(event, answered)))
    assert (changes.rows, changes.erased, changes.gone) == ({}, {}, {})
