"""A notification in the shape of the API: pure."""

from typing import Any

from query_api.notifications.queries import NotificationRow
from query_api.posts.present import identifier, moment


def present_notification(row: NotificationRow, seq: int | None = None) -> dict[str, Any]:
    """`seq` is the frame's that is being sent; left out, the newest that announced it."""
    return {
        "id": str(row.id),
        "seq": row.seq if seq is None else seq,
        "verb": row.verb,
        "actor": {
            "id": str(row.actor_id),
            "username": row.username,
            "display_name": row.display_name or "",
            "avatar": identifier(row.avatar_media_id),
        },
        "target": {"type": row.target_type, "id": str(row.target_id)},
        "data": row.data or {},
        "read": row.read,
        "created_at": moment(row.caused_at),
    }
