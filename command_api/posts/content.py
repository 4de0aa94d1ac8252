"""The rules that every text answers to, whether it is a post's or a comment's."""

from command_api.posts.text import holds_stored_mention
from shared.errors import FieldError


def check_content(content: str, characters_max: int) -> list[FieldError]:
    """What is wrong with a text; characters are Unicode code points."""
    if not content.strip():
        return [FieldError("/content", "must not be blank")]
    if len(content) > characters_max:
        return [FieldError("/content", f"must have at most {characters_max} characters")]
    if "\x00" in content:
        return [FieldError("/content", "must not hold a null character")]
    if holds_stored_mention(content):
        return [FieldError("/content", "must not hold <@id>, the stored form of a mention; write @name")]
    return []
