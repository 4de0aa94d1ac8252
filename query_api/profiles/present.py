"""A person in the shape of the API: pure."""

from typing import Any

from query_api.posts.present import identifier, moment
from query_api.profiles.queries import ProfileRow


def present_profile(row: ProfileRow) -> dict[str, Any]:
    return {
        "id": str(row.user_id),
        "username": row.username,
        "display_name": row.display_name or "",
        "bio": row.bio or "",
        "avatar": identifier(row.avatar_media_id),
        "private": row.private,
        "created_at": moment(row.created_at),
        "counts": {"followers": row.followers, "following": row.following, "posts": row.posts},
        "viewer": {
            "following": row.follows,
            "requested": row.requested,
            "followed_by": row.followed_by,
            "blocking": row.blocks,
            "muting": row.mutes,
        },
    }
