"""The demo's plan is what the issue asks for: the counts, the same every time, and nothing before its cause."""

import re
from collections import Counter
from functools import cache
from itertools import pairwise

import pytest

from infra.demo import generate
from infra.demo.generate import COMMENT, LIKE, POST, REACTION_DELAY, Plan
from shared import ids

NOW = 1_760_000_000_000_000


@cache
def plan_of(people: int) -> Plan:
    return generate.plan(NOW, people)


@pytest.fixture(scope="module", params=[40, 200, generate.PEOPLE], ids=["40 people", "200 people", "everybody"])
def plan(request: pytest.FixtureRequest) -> Plan:
    return plan_of(request.param)


def test_the_whole_graph_has_the_counts_promised() -> None:
    whole = plan_of(generate.PEOPLE)
    assert len(whole.people) == 4_039
    assert len(whole.follows) == 176_468 == 2 * 88_234
    assert Counter(action.kind for action in whole.actions) == {POST: 40_390, LIKE: 400_000, COMMENT: 40_000}
    assert (len(whole.posts), len(whole.comments), whole.size) == (40_390, 40_000, 660_897)


def test_the_same_seed_gives_the_same_plan_and_another_one_another() -> None:
    assert generate.plan(NOW, 120) == generate.plan(NOW, 120)
    assert generate.plan(NOW, 120) != generate.plan(NOW, 120, seed=1)


def test_a_plan_is_found_again_from_its_first_persons_id() -> None:
    first = generate.plan(NOW, 40).people[0]
    assert generate.moment_of(first.user_id) == NOW


def test_people_are_distinct_and_their_ids_hold_their_registration(plan: Plan) -> None:
    assert len({person.user_id for person in plan.people}) == len(plan.people)
    assert len({person.username for person in plan.people}) == len(plan.people)
    assert len({person.email for person in plan.people}) == len(plan.people)
    assert all(ids.time_of(person.user_id) == person.at for person in plan.people)
    assert all(re.fullmatch(r"[a-z]{2,}[0-9]{1,4}", person.username) for person in plan.people)


def test_everything_happens_in_time_order_and_before_now(plan: Plan) -> None:
    times = [*(person.at for person in plan.people), *(follow.at for follow in plan.follows)]
    times += [action.at for action in plan.actions]
    assert all(one < other for one, other in pairwise(times))
    assert times[0] == NOW - generate.REGISTRATIONS_BEGIN
    assert times[-1] < NOW


def test_every_friendship_is_a_follow_each_way(plan: Plan) -> None:
    pairs = {(follow.follower, follow.followee) for follow in plan.follows}
    assert len(pairs) == len(plan.follows)
    assert all((other, one) in pairs and one != other for one, other in pairs)


def test_likes_are_by_followers_once_and_after_the_post(plan: Plan) -> None:
    pairs = {(follow.follower, follow.followee) for follow in plan.follows}
    posted = {action.target: action for action in plan.actions if action.kind == POST}
    likes = [action for action in plan.actions if action.kind == LIKE]
    assert len({(like.actor, like.target) for like in likes}) == len(likes)
    for like in likes:
        assert (like.actor, posted[like.target].actor) in pairs
        assert like.at >= posted[like.target].at + REACTION_DELAY - generate.SECOND
        assert 0 <= like.reaction < len(generate.REACTIONS)


def test_comments_are_after_their_post_and_answers_after_what_they_answer(plan: Plan) -> None:
    posted = {action.target: action.at for action in plan.actions if action.kind == POST}
    said = {action.target: action.at for action in plan.actions if action.kind == COMMENT}
    assert sorted(said) == list(range(len(plan.comments)))
    for index, comment in enumerate(plan.comments):
        assert said[index] > posted[comment.post]
        if comment.parent is not None:
            assert plan.comments[comment.parent].post == comment.post
            assert said[index] > said[comment.parent]
    assert any(comment.parent is not None for comment in plan.comments)


def test_answers_and_quotes_name_older_posts_and_only_public_ones_are_quoted(plan: Plan) -> None:
    posted = {action.target: action.at for action in plan.actions if action.kind == POST}
    for index, post in enumerate(plan.posts):
        for cause in (post.reply_to, post.quote_of):
            assert cause is None or posted[cause] < posted[index]
        assert post.quote_of is None or plan.posts[post.quote_of].visibility == "public"


def test_a_batch_names_nothing_that_it_makes_itself(plan: Plan) -> None:
    seen = 0
    for batch in generate.batches(plan.actions):
        seen += len(batch)
        assert 0 < len(batch) <= generate.BATCH_MAX
        posts = {action.target for action in batch if action.kind == POST}
        comments = {action.target for action in batch if action.kind == COMMENT}
        for action in batch:
            if action.kind == LIKE:
                assert action.target not in posts
            elif action.kind == COMMENT:
                assert plan.comments[action.target].post not in posts
                assert plan.comments[action.target].parent not in comments
            else:
                post = plan.posts[action.target]
                assert post.reply_to not in posts and post.quote_of not in posts
    assert seen == len(plan.actions)


def test_the_newest_action_is_a_comment_so_that_finding_it_shows_the_end(plan: Plan) -> None:
    assert plan.actions[-1].kind == COMMENT
    assert plan.actions[-1].target == len(plan.comments) - 1


def test_authors_with_many_friends_write_more_and_few_posts_have_most_likes() -> None:
    whole = plan_of(generate.PEOPLE)
    degree = Counter(follow.follower for follow in whole.follows)
    written = Counter(post.author for post in whole.posts)
    connected = [person for person, _ in degree.most_common(400)]
    assert sum(written[person] for person in connected) > 0.3 * len(whole.posts)
    likes = Counter(action.target for action in whole.actions if action.kind == LIKE)
    assert sum(count for _, count in likes.most_common(4_039)) > 0.35 * 400_000


def test_a_mention_is_of_somebody_in_the_plan(plan: Plan) -> None:
    usernames = {person.username for person in plan.people}
    for text in [*(post.text for post in plan.posts), *(comment.text for comment in plan.comments)]:
        assert set(re.findall(r"@(\w+)", text)) <= usernames
