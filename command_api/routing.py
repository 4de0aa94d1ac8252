"""Every command, on one page: what it reads and who decides it."""

from collections.abc import Callable
from typing import Any, NamedTuple

from command_api.accounts.commands import edit_profile, erase_user, grant_role, register_user, revoke_role
from command_api.accounts.commands.edit_profile import EditProfile
from command_api.accounts.commands.erase_user import EraseUser
from command_api.accounts.commands.grant_role import GrantRole
from command_api.accounts.commands.register_user import RegisterUser
from command_api.accounts.commands.revoke_role import RevokeRole
from command_api.decision import Reads, State, Unchanged
from command_api.notifications.commands import mark_notifications_read
from command_api.notifications.commands.mark_notifications_read import MarkNotificationsRead
from command_api.posts.commands import (
    add_comment,
    delete_comment,
    delete_post,
    edit_comment,
    edit_post,
    publish_post,
)
from command_api.posts.commands.add_comment import AddComment
from command_api.posts.commands.delete_comment import DeleteComment
from command_api.posts.commands.delete_post import DeletePost
from command_api.posts.commands.edit_comment import EditComment
from command_api.posts.commands.edit_post import EditPost
from command_api.posts.commands.publish_post import PublishPost
from command_api.reactions.commands import (
    bookmark_post,
    like_post,
    share_post,
    unbookmark_post,
    unlike_post,
    unshare_post,
)
from command_api.reactions.commands.bookmark_post import BookmarkPost
from command_api.reactions.commands.like_post import LikePost
from command_api.reactions.commands.share_post import SharePost
from command_api.reactions.commands.unbookmark_post import UnbookmarkPost
from command_api.reactions.commands.unlike_post import UnlikePost
from command_api.reactions.commands.unshare_post import UnsharePost
from command_api.relationships.commands import (
    approve_follow,
    block_user,
    follow_user,
    mute_user,
    reject_follow,
    unblock_user,
    unfollow_user,
    unmute_user,
)
from command_api.relationships.commands.approve_follow import ApproveFollow
from command_api.relationships.commands.block_user import BlockUser
from command_api.relationships.commands.follow_user import FollowUser
from command_api.relationships.commands.mute_user import MuteUser
from command_api.relationships.commands.reject_follow import RejectFollow
from command_api.relationships.commands.unblock_user import UnblockUser
from command_api.relationships.commands.unfollow_user import UnfollowUser
from command_api.relationships.commands.unmute_user import UnmuteUser
from schemas.types import Event

Command = (
    RegisterUser
    | EditProfile
    | EraseUser
    | GrantRole
    | RevokeRole
    | PublishPost
    | EditPost
    | DeletePost
    | AddComment
    | EditComment
    | DeleteComment
    | LikePost
    | UnlikePost
    | BookmarkPost
    | UnbookmarkPost
    | SharePost
    | UnsharePost
    | FollowUser
    | UnfollowUser
    | ApproveFollow
    | RejectFollow
    | BlockUser
    | UnblockUser
    | MuteUser
    | UnmuteUser
    | MarkNotificationsRead
)


class Handler(NamedTuple):
    """`personal`: its event holds text sealed under the actor's key."""

    reads: Callable[[Any], Reads]
    decide: Callable[[Any, State], Event | Unchanged]
    personal: bool = False


HANDLERS: dict[type[Command], Handler] = {
    RegisterUser: Handler(register_user.reads, register_user.decide, personal=True),
    EditProfile: Handler(edit_profile.reads, edit_profile.decide, personal=True),
    EraseUser: Handler(erase_user.reads, erase_user.decide),
    GrantRole: Handler(grant_role.reads, grant_role.decide),
    RevokeRole: Handler(revoke_role.reads, revoke_role.decide),
    PublishPost: Handler(publish_post.reads, publish_post.decide, personal=True),
    EditPost: Handler(edit_post.reads, edit_post.decide, personal=True),
    DeletePost: Handler(delete_post.reads, delete_post.decide),
    AddComment: Handler(add_comment.reads, add_comment.decide, personal=True),
    EditComment: Handler(edit_comment.reads, edit_comment.decide, personal=True),
    DeleteComment: Handler(delete_comment.reads, delete_comment.decide),
    LikePost: Handler(like_post.reads, like_post.decide),
    UnlikePost: Handler(unlike_post.reads, unlike_post.decide),
    BookmarkPost: Handler(bookmark_post.reads, bookmark_post.decide),
    UnbookmarkPost: Handler(unbookmark_post.reads, unbookmark_post.decide),
    SharePost: Handler(share_post.reads, share_post.decide),
    UnsharePost: Handler(unshare_post.reads, unshare_post.decide),
    FollowUser: Handler(follow_user.reads, follow_user.decide),
    UnfollowUser: Handler(unfollow_user.reads, unfollow_user.decide),
    ApproveFollow: Handler(approve_follow.reads, approve_follow.decide),
    RejectFollow: Handler(reject_follow.reads, reject_follow.decide),
    BlockUser: Handler(block_user.reads, block_user.decide),
    UnblockUser: Handler(unblock_user.reads, unblock_user.decide),
    MuteUser: Handler(mute_user.reads, mute_user.decide),
    UnmuteUser: Handler(unmute_user.reads, unmute_user.decide),
    MarkNotificationsRead: Handler(mark_notifications_read.reads, mark_notifications_read.decide),
}
