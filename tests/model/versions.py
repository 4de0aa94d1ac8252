"""Which texts of a post can still be read: all but those that were replaced long ago, and the newest in any case."""

from collections.abc import Collection

from schemas.types import PostEdited, PostPublished

Version = PostPublished | PostEdited


def kept(versions: Collection[Version], forgotten_before: int) -> set[Version]:
    """Those that nothing from before `forgotten_before` (microseconds since 1970; 0: for ever) has replaced."""
    old = [version.event_id for version in versions if version.occurred_at < forgotten_before]
    return {version for version in versions if not any(version.event_id < other for other in old)}
