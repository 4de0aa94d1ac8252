"""Request bodies, checked strictly: no unknown field, no value of another type taken for the right one."""

from typing import Any
from uuid import UUID

from rest_framework import serializers
from rest_framework.request import Request

from command_api.web.problems import escaped, field_errors
from shared.errors import FieldError, ValidationFailed

LANGUAGE = r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$"
LANGUAGE_CHARACTERS_MAX = 35
# So that an answer is never much larger than what it answers.
ERRORS_MAX = 50


class Text(serializers.CharField):
    """A string, kept as it was sent."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("trim_whitespace", False)
        super().__init__(**kwargs)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return str(super().to_internal_value(data))


class Id(serializers.UUIDField):
    """A UUID as a string."""

    def to_internal_value(self, data: Any) -> UUID:
        if not isinstance(data, str):
            self.fail("invalid", value=data)
        found: UUID = super().to_internal_value(data)
        return found


class Flag(serializers.BooleanField):
    """true or false, and nothing that could be taken for them."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class Language(serializers.RegexField):
    """A BCP 47 tag, by its form."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(LANGUAGE, max_length=LANGUAGE_CHARACTERS_MAX, **kwargs)


class OneOf(serializers.ChoiceField):
    """One of a few words."""

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, str):
            self.fail("invalid_choice", input=data)
        return super().to_internal_value(data)


class Items(serializers.ListField):
    """A list, measured before its items are looked at: a body has room for half a million of them."""

    def to_internal_value(self, data: Any) -> list[Any]:
        if isinstance(data, list) and self.max_length is not None and len(data) > self.max_length:
            self.fail("max_length", max_length=self.max_length)
        return list(super().to_internal_value(data))


class Body(serializers.Serializer[Any]):
    """The fields of a request's body, and no others."""

    @classmethod
    def of(cls, request: Request) -> dict[str, Any]:
        """The checked values of a request. Raises ValidationFailed, pointing at the fields that are wrong."""
        return cls.checked(request.data)

    @classmethod
    def checked(cls, data: Any) -> dict[str, Any]:
        """The checked values, wherever they come from. Raises as `of` does."""
        body = cls(data=data)
        errors = [] if body.is_valid() else field_errors(body.errors)
        if isinstance(data, dict):
            unknown = [name for name in data if name not in body.fields]
            errors += [FieldError(f"/{escaped(name)}", "unknown field") for name in unknown]
        if errors:
            raise ValidationFailed(errors[0].detail, errors[:ERRORS_MAX])
        return dict(body.validated_data)


class NoBody(Body):
    """Nothing, or an empty object."""
