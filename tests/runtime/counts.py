"""The oracle for counts: each computed anew from the rows it is kept of."""

from tests.runtime.engine import Engine


def assert_counts_are_those_of_the_rows(engine: Engine) -> None:
    for counted, counts in (
        (
            "select post_id, count(*) from counters.reaction where active group by 1",
            "select post_id, likes from counters.post_count where likes <> 0",
        ),
        (
            "select post_id, reaction, count(*) from counters.reaction where active group by 1, 2",
            "select post_id, reaction, n from counters.reaction_count where n <> 0",
        ),
        (
            """select viewer, author, day, sum(weight) from (
               select actor_id as viewer, author_id as author, day, 1 as weight from counters.reaction where active
               union all select author_id, post_author_id, day, 3 from counters.comment
                where created_event is not null and deleted_event is null)
               as each group by 1, 2, 3""",
            "select viewer_id, author_id, day, weight from counters.affinity where weight <> 0",
        ),
        (
            """select author_id, count(*) from counters.post
                where created_event is not null and deleted_event is null group by 1""",
            "select user_id, posts from counters.person_count where posts <> 0",
        ),
    ):
        assert sorted(engine.rows(counted)) == sorted(engine.rows(counts))
