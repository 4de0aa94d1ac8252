"""The API's shapes as serializers: they describe answers in the OpenAPI schema; present modules make the answers."""

from rest_framework import serializers


class Author(serializers.Serializer[None]):
    id = serializers.UUIDField()
    username = serializers.CharField()
    display_name = serializers.CharField()
    avatar = serializers.UUIDField(allow_null=True)


class Mention(serializers.Serializer[None]):
    id = serializers.UUIDField()
    username = serializers.CharField()


class Media(serializers.Serializer[None]):
    id = serializers.UUIDField()


class PostCounts(serializers.Serializer[None]):
    likes = serializers.IntegerField()
    comments = serializers.IntegerField()
    shares = serializers.IntegerField()
    quotes = serializers.IntegerField()
    reactions = serializers.DictField(child=serializers.IntegerField())


class PostViewer(serializers.Serializer[None]):
    liked = serializers.CharField(allow_null=True)
    shared = serializers.BooleanField()
    bookmarked = serializers.BooleanField()


class QuotedPost(serializers.Serializer[None]):
    id = serializers.UUIDField()
    available = serializers.BooleanField()
    author = Author(required=False)
    content = serializers.CharField(required=False)
    edited_at = serializers.DateTimeField(required=False, allow_null=True)
    created_at = serializers.DateTimeField(required=False)


class Post(serializers.Serializer[None]):
    id = serializers.UUIDField()
    author = Author()
    content = serializers.CharField()
    visibility = serializers.ChoiceField(["public", "followers", "private"])
    language = serializers.CharField(allow_null=True)
    hashtags = serializers.ListField(child=serializers.CharField())
    mentions = Mention(many=True)
    media = Media(many=True)
    reply_to = serializers.UUIDField(allow_null=True)
    quote_of = serializers.UUIDField(allow_null=True)
    quoted_post = QuotedPost(required=False)
    edited_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()
    counts = PostCounts()
    viewer = PostViewer()


class CommentCounts(serializers.Serializer[None]):
    likes = serializers.IntegerField()
    replies = serializers.IntegerField()


class CommentViewer(serializers.Serializer[None]):
    liked = serializers.CharField(allow_null=True)


class Comment(serializers.Serializer[None]):
    """In a tree, `replies` holds what is below. One that is removed has only `id`, `post_id`, `parent_id` and these."""

    id = serializers.UUIDField()
    post_id = serializers.UUIDField()
    parent_id = serializers.UUIDField(allow_null=True)
    author = Author()
    content = serializers.CharField()
    mentions = Mention(many=True)
    created_at = serializers.DateTimeField()
    edited_at = serializers.DateTimeField(allow_null=True)
    counts = CommentCounts()
    viewer = CommentViewer()
    removed = serializers.BooleanField(required=False)
    replies = serializers.ListField(child=serializers.DictField(), required=False)


class Version(serializers.Serializer[None]):
    """A post's text as it was, or is; the newest is the post's own."""

    id = serializers.UUIDField()
    content = serializers.CharField()
    hashtags = serializers.ListField(child=serializers.CharField())
    mentions = Mention(many=True)
    written_at = serializers.DateTimeField()


class Bookmarked(Post):
    """A post, or, where it is deleted or may not be seen any more, only `id` and `available`, which is false."""

    available = serializers.BooleanField(required=False)


class Reaction(serializers.Serializer[None]):
    user = Author()
    reaction = serializers.CharField()
    at = serializers.DateTimeField()


class Share(serializers.Serializer[None]):
    user = Author()
    at = serializers.DateTimeField()


class ProfileCounts(serializers.Serializer[None]):
    followers = serializers.IntegerField()
    following = serializers.IntegerField()
    posts = serializers.IntegerField()


class ProfileViewer(serializers.Serializer[None]):
    following = serializers.BooleanField()
    requested = serializers.BooleanField()
    followed_by = serializers.BooleanField()
    blocking = serializers.BooleanField()
    muting = serializers.BooleanField()


class Profile(serializers.Serializer[None]):
    id = serializers.UUIDField()
    username = serializers.CharField()
    display_name = serializers.CharField()
    bio = serializers.CharField()
    avatar = serializers.UUIDField(allow_null=True)
    private = serializers.BooleanField()
    created_at = serializers.DateTimeField()
    counts = ProfileCounts()
    viewer = ProfileViewer()


class Blocked(serializers.Serializer[None]):
    user = Author()
    blocked_at = serializers.DateTimeField()


class Muted(serializers.Serializer[None]):
    user = Author()
    muted_at = serializers.DateTimeField()


class FollowRequest(serializers.Serializer[None]):
    """`id`, by which it is approved or rejected, is that of the person who asks."""

    id = serializers.UUIDField()
    user = Author()
    requested_at = serializers.DateTimeField()


class Explanation(serializers.Serializer[None]):
    age_hours = serializers.FloatField()
    engagement = serializers.FloatField()
    affinity = serializers.FloatField()
    moderation = serializers.FloatField()
    diversity = serializers.FloatField()
    score = serializers.FloatField()
    source = serializers.ChoiceField(["pushed", "database"])  # type: ignore[assignment]  # also a name of DRF's own


class HomeItem(serializers.Serializer[None]):
    post = Post()
    via = Author(allow_null=True)
    at = serializers.DateTimeField()
    explain = Explanation(required=False)


class Target(serializers.Serializer[None]):
    type = serializers.ChoiceField(["user", "post", "comment"])
    id = serializers.UUIDField()


class Notification(serializers.Serializer[None]):
    id = serializers.UUIDField()
    seq = serializers.IntegerField(allow_null=True)
    verb = serializers.CharField()
    actor = Author()
    target = Target()
    data = serializers.DictField()  # type: ignore[assignment]  # also a name of DRF's own
    read = serializers.BooleanField()
    created_at = serializers.DateTimeField()


class UnreadCount(serializers.Serializer[None]):
    unread = serializers.IntegerField()


class PostPage(serializers.Serializer[None]):
    items = Post(many=True)
    next = serializers.CharField(allow_null=True)


class ExplorePage(serializers.Serializer[None]):
    items = Post(many=True)
    next = serializers.CharField(allow_null=True)
    ranked_at = serializers.DateTimeField()


class TrendingHashtag(serializers.Serializer[None]):
    hashtag = serializers.CharField()
    score = serializers.FloatField()


class TrendingHashtags(serializers.Serializer[None]):
    """There is no further page: `next` is null."""

    items = TrendingHashtag(many=True)
    next = serializers.CharField(allow_null=True)


class TrendingPost(serializers.Serializer[None]):
    post = Post()
    score = serializers.FloatField()


class TrendingPosts(serializers.Serializer[None]):
    """There is no further page: `next` is null."""

    items = TrendingPost(many=True)
    next = serializers.CharField(allow_null=True)


class BookmarkPage(serializers.Serializer[None]):
    items = Bookmarked(many=True)
    next = serializers.CharField(allow_null=True)


class VersionPage(serializers.Serializer[None]):
    items = Version(many=True)
    next = serializers.CharField(allow_null=True)


class ReactionPage(serializers.Serializer[None]):
    items = Reaction(many=True)
    next = serializers.CharField(allow_null=True)


class SharePage(serializers.Serializer[None]):
    items = Share(many=True)
    next = serializers.CharField(allow_null=True)


class ProfilePage(serializers.Serializer[None]):
    items = Profile(many=True)
    next = serializers.CharField(allow_null=True)


class BlockPage(serializers.Serializer[None]):
    items = Blocked(many=True)
    next = serializers.CharField(allow_null=True)


class MutePage(serializers.Serializer[None]):
    items = Muted(many=True)
    next = serializers.CharField(allow_null=True)


class FollowRequestPage(serializers.Serializer[None]):
    items = FollowRequest(many=True)
    next = serializers.CharField(allow_null=True)


class CommentPage(serializers.Serializer[None]):
    items = Comment(many=True)
    next = serializers.CharField(allow_null=True)


class HomePage(serializers.Serializer[None]):
    items = HomeItem(many=True)
    next = serializers.CharField(allow_null=True)
    ranked_at = serializers.DateTimeField(required=False)


class NotificationPage(serializers.Serializer[None]):
    items = Notification(many=True)
    next = serializers.CharField(allow_null=True)


class FieldProblem(serializers.Serializer[None]):
    pointer = serializers.CharField()
    detail = serializers.CharField()


class Problem(serializers.Serializer[None]):
    """RFC 9457."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    errors = FieldProblem(many=True)  # type: ignore[assignment]  # also a name of DRF's own
    trace_id = serializers.CharField()


class ProjectionPosition(serializers.Serializer[None]):
    """Where one projection stands in one partition. But for `position` and `advanced_at`, null while the monitor is
    away."""

    projection = serializers.CharField()
    topic = serializers.CharField()
    partition = serializers.IntegerField()
    position = serializers.IntegerField(help_text="Offset of the next record to apply")
    advanced_at = serializers.DateTimeField(allow_null=True, help_text="When the position last moved")
    end = serializers.IntegerField(allow_null=True, help_text="Offset that the log's next record gets")
    lag_records = serializers.IntegerField(allow_null=True)
    lag_seconds = serializers.FloatField(
        allow_null=True, help_text="Age of the first record not applied yet; 0 at the end"
    )
    rate = serializers.FloatField(allow_null=True, help_text="Records applied a second")
    append_rate = serializers.FloatField(allow_null=True, help_text="Records appended a second")
    drain_seconds = serializers.FloatField(allow_null=True, help_text="Until the end is reached; null when never")
    seconds_since_advance = serializers.FloatField(allow_null=True)
    parked = serializers.IntegerField(allow_null=True, help_text="Records set aside")
    rebalances = serializers.IntegerField(allow_null=True, help_text="How often a worker took it over")
    committed = serializers.IntegerField(allow_null=True, help_text="Kafka's group commit")
    commit_drift = serializers.IntegerField(allow_null=True, help_text="`position` minus `committed`")
    owner = serializers.CharField(allow_null=True, help_text="The worker that took it over last")
    state = serializers.ChoiceField(
        choices=("idle", "advancing", "never_started", "stopped", "stalled", "ahead", "unknown")
    )


class ProjectionPositions(serializers.Serializer[None]):
    """`measured_at` is null while the monitor is away: what is told then, the read database knows by itself."""

    measured_at = serializers.DateTimeField(allow_null=True)
    items = ProjectionPosition(many=True)
