"""Posts by their words and people by a part of their names: whatever the viewer may see, and nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, LiteralString
from uuid import UUID

from query_api import database
from query_api.profiles.queries import BY_IDS_SQL, ProfileRow
from shared.ids import LAST_ID

QUERY_CHARACTERS_MAX = 200
INFIX_CHARACTERS_MIN = 3  # a trigram index finds nothing shorter than three characters within a name, only before one
ROUNDS_MAX = 8


def words_of(post: LiteralString) -> LiteralString:
    """The words of a post, by its name in a statement: the expression of the index post_words, projectors/posts."""
    return "to_tsvector('simple', regexp_replace(" + post + ".content, '<@[0-9a-f-]{36}>', ' ', 'g'))"


def named_like(person: LiteralString) -> LiteralString:
    """Whether either name of a person, by their name in a statement, is like %(pattern)s; the index is person_names."""
    return (
        "(" + person + ".username like %(pattern)s::text or lower(" + person + ".display_name) like %(pattern)s::text)"
    )


# A query that names no word to look for, but at most such as must not occur, would go through everything: it finds
# nothing.
POSTS_SQL: LiteralString = (
    """
select p.post_id from posts.post p
 where """
    + words_of("p")
    + """ @@ websearch_to_tsquery('simple', %(query)s)
   and querytree(websearch_to_tsquery('simple', %(query)s)) not in ('', 'T')
   and p.created_event is not null and p.post_id < coalesce(%(before)s::uuid, %(last)s::uuid)
 order by p.post_id desc limit %(limit)s"""
)

PEOPLE_SQL: LiteralString = (
    """
select found.user_id, found.place, found.username
  from (select a.user_id, a.username,
               case when a.username = %(name)s then 0 when starts_with(a.username, %(name)s) then 1 else 2 end as place
          from profiles.person a
         where """
    + named_like("a")
    + """
           and a.created_event is not null
           and not exists (select from profiles.erased e where e.user_id = a.user_id)) found
 where (found.place, found.username collate "C") > (%(place)s::int, %(after)s::text collate "C")
 order by found.place, found.username collate "C" limit %(limit)s"""
)


@dataclass(frozen=True, slots=True)
class PeoplePlace:
    """Where a list of people has got to: exact names come first (0), then those that begin so (1), then others (2)."""

    place: int
    username: str

    @classmethod
    def load(cls, value: Sequence[Any]) -> "PeoplePlace":
        place, username = value
        return cls(int(place), str(username))

    def dump(self) -> list[object]:
        return [self.place, self.username]


BEGINNING = PeoplePlace(-1, "")


def found_post_ids(query: str, before: UUID | None, limit: int) -> list[UUID]:
    """Posts whose words match, newest first; no rules applied."""
    parameters = {"query": query, "before": before, "last": LAST_ID, "limit": limit}
    return [row.post_id for row in database.rows(POSTS_SQL, parameters, prepare=False)]


def found_people(
    query: str, viewer_id: UUID | None, after: PeoplePlace, limit: int
) -> tuple[list[ProfileRow], PeoplePlace | None]:
    """People by a part of a name who are not hidden from the viewer, and where the next page begins."""
    shown: list[tuple[ProfileRow, PeoplePlace]] = []
    for _ in range(ROUNDS_MAX):
        asked = limit + 1
        names = {"name": query.lower(), "pattern": pattern(query)}
        parameters = {**names, "place": after.place, "after": after.username, "limit": asked}
        rows = database.rows(PEOPLE_SQL, parameters, prepare=False)
        there = _profiles([row.user_id for row in rows], viewer_id)
        for row in rows:
            after = PeoplePlace(row.place, row.username)
            if row.user_id in there:
                shown.append((there[row.user_id], after))
        if len(shown) > limit:
            return [person for person, _ in shown[:limit]], shown[limit - 1][1]
        if len(rows) < asked:
            return [person for person, _ in shown], None
    return [person for person, _ in shown], after


def pattern(query: str) -> str:
    """What a name must be like, for LIKE."""
    name = query.lower()
    escaped = name.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"{escaped}%" if len(name) < INFIX_CHARACTERS_MIN else f"%{escaped}%"


def _profiles(user_ids: Sequence[UUID], viewer_id: UUID | None) -> dict[UUID, ProfileRow]:
    if not user_ids:
        return {}
    found = database.rows(BY_IDS_SQL, {"users": list(user_ids), "viewer": viewer_id})
    return {row.user_id: ProfileRow(*row) for row in found if not row.hidden}
