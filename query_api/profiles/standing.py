"""Who is away: deactivated, suspended or waiting to be erased; nobody else sees them or anything that they wrote.

Away people see what they saw, so a statement that lists people leaves out those who are away and not the viewer.
"""

from typing import LiteralString


def away(person: LiteralString) -> LiteralString:
    """Whether the row of profiles.person that has this name in a statement is of somebody away; never null."""
    return f"({person}.deactivated or {person}.suspended or {person}.erase_after is not null) is true"


def out_of_sight(person: LiteralString) -> LiteralString:
    """The same, but that nobody is away for themselves; the statement has the parameter `viewer`."""
    return f"({away(person)} and {person}.user_id is distinct from %(viewer)s::uuid)"
