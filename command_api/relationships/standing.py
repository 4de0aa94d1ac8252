"""How people stand to each other, read from the guards for an answer: in its transaction, under the command's locks."""

from collections.abc import Collection
from uuid import UUID

from django.db.models import Q

from command_api.relationships.models import BlockGuard, FollowGuard


def is_request(follower_id: UUID, followee_id: UUID) -> bool:
    """Whether one person has asked to follow the other and is still to be answered."""
    return FollowGuard.objects.filter(follower_id=follower_id, followee_id=followee_id, requested=True).exists()


def apart_from(user_id: UUID, others: Collection[UUID]) -> set[UUID]:
    """Those of the others whom a person blocks or who block them."""
    if not others:
        return set()
    either_way = Q(from_id=user_id, to_id__in=others) | Q(from_id__in=others, to_id=user_id)
    pairs = BlockGuard.objects.filter(either_way, active=True).values_list("from_id", "to_id")
    return {blocked_id if blocker_id == user_id else blocker_id for blocker_id, blocked_id in pairs}
