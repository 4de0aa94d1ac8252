"""A person declines who asked to follow them; without a pending request there is nothing to reject.

A request is one person's to another, so that it is named by who asks. It may have been withdrawn, answered or ended by
a block at the same moment: both people's locks are held.
"""

from uuid import UUID

import msgspec

from command_api.decision import UNMINTED, Reads, State, acting, pending
from schemas.types import FollowRejected


class RejectFollow(msgspec.Struct, frozen=True):
    actor_id: UUID
    follower_id: UUID


def reads(command: RejectFollow) -> Reads:
    return Reads(
        actor_id=command.actor_id,
        counterparts=(command.follower_id,),
        follows=((command.follower_id, command.actor_id),),
    )


def decide(command: RejectFollow, state: State) -> FollowRejected:
    acting(state, command.actor_id)
    request = pending(state, command.follower_id, command.actor_id)
    return FollowRejected(
        event_id=UNMINTED, occurred_at=0, subject_id=command.actor_id, follower_id=request.follower_id
    )
