"""A person changes what their profile says of them; fields left out stay, and with none given nothing changes."""

from uuid import UUID

import msgspec

from command_api.decision import UNMINTED, Reads, State, Unchanged, acting
from schemas.types import ProfileEdited
from shared.errors import FieldError, ValidationFailed

DISPLAY_NAME_CHARACTERS_MAX = 80
BIO_CHARACTERS_MAX = 500


class EditProfile(msgspec.Struct, frozen=True, kw_only=True):
    """A field that is None is left as it is."""

    actor_id: UUID
    display_name: str | None = None
    bio: str | None = None
    language: str | None = None
    avatar_media_id: UUID | None = None
    private: bool | None = None


def reads(command: EditProfile) -> Reads:
    # Whoever follows this person, or looks at a post of theirs, reads `private` under a lock that this one waits for.
    return Reads(actor_id=command.actor_id, exclusive=command.private is not None)


def decide(command: EditProfile, state: State) -> ProfileEdited | Unchanged:
    actor = acting(state, command.actor_id)
    errors = _wrong(command)
    if errors:
        raise ValidationFailed(errors[0].detail, errors)
    private = command.private if command.private != actor.private else None
    if command.display_name is None and command.bio is None and command.language is None and private is None:
        return Unchanged(actor.last_event)
    return ProfileEdited(
        event_id=UNMINTED,
        occurred_at=0,
        subject_id=command.actor_id,
        display_name=command.display_name,
        bio=command.bio,
        language=command.language,
        private=private,
    )


def _wrong(command: EditProfile) -> list[FieldError]:
    errors = []
    name = command.display_name
    if name is not None and not name.strip():
        errors.append(FieldError("/display_name", "must not be blank"))
    if name is not None and len(name) > DISPLAY_NAME_CHARACTERS_MAX:
        errors.append(FieldError("/display_name", f"must have at most {DISPLAY_NAME_CHARACTERS_MAX} characters"))
    if command.bio is not None and len(command.bio) > BIO_CHARACTERS_MAX:
        errors.append(FieldError("/bio", f"must have at most {BIO_CHARACTERS_MAX} characters"))
    for field, text in (("display_name", name), ("bio", command.bio)):
        if text is not None and "\x00" in text:
            errors.append(FieldError(f"/{field}", "must not hold a null character"))
    if command.avatar_media_id is not None:
        errors.append(FieldError("/avatar_media_id", "unknown media"))  # there are no media yet
    return errors
