"""Claim: where the log lost its tail, an unfinished rebuild that was to read beyond it is made anew, and only that one.

Oracle: whether the same command goes on with what was begun. A real PostgreSQL; the finding is written down here.
Cannot catch: a rebuild that is merging at that moment.
"""

from infra.repair.comparison import Finding
from infra.repair.stands import set_back_in_postgres
from projectors.counters.fold import PROJECTION
from projectors.runtime import siblings
from projectors.runtime.rebuild import Rebuild
from projectors.runtime.siblings import Kind, connect
from projectors.runtime.stores.port import Partition
from tests.runtime.engine import Engine

HERE, ELSEWHERE = Partition("engagement", 0), Partition("posts", 0)


def test_an_unfinished_rebuild_of_the_lost_records_is_made_anew(counters: Engine) -> None:
    with connect(counters.environment.read_database_url) as connection:
        work = Rebuild(PROJECTION, counters.environment, connection, lambda *_: None)
        spans = {HERE: (0, 7), ELSEWHERE: (0, 9)}

        def goes_on() -> bool:
            return work.begin_or_resume(Kind.NEXT, "counters_next", spans)[1]

        try:
            assert not goes_on()
            assert set_back_in_postgres(connection, [Finding(HERE, 7, 7), Finding(ELSEWHERE, 12, 9)]) == 0
            assert goes_on()
            assert set_back_in_postgres(connection, [Finding(HERE, 7, 6)]) == 1
            assert not goes_on()
        finally:
            siblings.drop(connection, "counters_next")
