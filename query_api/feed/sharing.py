"""The share by which a post comes to a reader, as a part of the statements that ask about many posts `h`."""

from typing import LiteralString

from query_api.profiles.standing import away

# The newest share of `h.post_id`, none newer than `as_of`, by somebody V follows, has not muted, and who is not away.
# Of a post that few shared, each share is looked at, and of another, each person that V follows: it costs at most as
# many look-ups as V follows people, and none for a post that nobody shared. `offset 0` keeps them look-ups: the planner
# takes a post for one of few shares and would read all of a popular one's.
_NEWEST_SHARE_SQL: LiteralString = (
    """
  left join lateral (
    select s.share_id, {sharer}
      from (
        select few.share_id, few.actor_id
          from counters.share few
         cross join lateral (select counted, mutes from graph.relation
                              where from_id = %(viewer)s::uuid and to_id = few.actor_id offset 0) v
         where h.shares between 1 and (select count(*) from graph.relation where from_id = %(viewer)s::uuid and follows)
           and few.post_id = h.post_id and few.active and few.share_id <= coalesce(%(as_of)s::uuid, %(last)s::uuid)
           and v.counted and not coalesce(v.mutes, false)
        union all
        select many.share_id, many.actor_id
          from graph.relation v
         cross join lateral (select share_id, actor_id, active from counters.share
                              where post_id = h.post_id and actor_id = v.to_id offset 0) many
         where h.shares > (select count(*) from graph.relation where from_id = %(viewer)s::uuid and follows)
           and v.from_id = %(viewer)s::uuid and v.follows and v.counted and not coalesce(v.mutes, false)
           and many.active and many.share_id <= coalesce(%(as_of)s::uuid, %(last)s::uuid)
         order by share_id desc offset 0) s
      join profiles.person u on u.user_id = s.actor_id and u.created_event is not null
     where not """
    + away("u")
    + """
       and not exists (select from profiles.erased e where e.user_id = s.actor_id)
       and not exists (select from graph.erased e where e.user_id = s.actor_id)
       and not exists (select from counters.erased e where e.user_id = s.actor_id)
     order by s.share_id desc limit 1) n on h.shares > 0"""
)

_SHARER_SQL: LiteralString = """s.actor_id as sharer_id, u.username as sharer_username,
    u.display_name as sharer_display_name, u.avatar_media_id as sharer_avatar_media_id"""

NEWEST_SHARE_SQL = _NEWEST_SHARE_SQL.format(sharer="s.actor_id")
NEWEST_SHARE_AND_SHARER_SQL = _NEWEST_SHARE_SQL.format(sharer=_SHARER_SQL)
