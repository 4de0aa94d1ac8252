"""A person is erased: the event first, then the key, then everything else; each step can be repeated after a crash."""

from uuid import UUID

from command_api.accounts.commands.erase_user import EraseUser
from command_api.dispatch import Outcome, dispatch
from command_api.vault import keys, people


def erase(user_id: UUID, *, now: int | None = None) -> Outcome:
    """Erases a person for ever. Repeated, it finishes what an earlier call left and answers as unchanged.

    Raises NotFound when there was never such a person.
    """
    outcome = dispatch(EraseUser(user_id), now=now)
    keys.destroy_key(user_id)
    people.destroy(user_id)
    return outcome
