-- An edge that is no longer active stays as a mark, so that an older follow cannot come back.
create table if not exists graph.follow (
  follower_id uuid,
  followee_id uuid,
  active boolean,
  since timestamptz,
  edge_event uuid,
  primary key (follower_id, followee_id)
) with (fillfactor = 80);

-- Of all edges, not of the active ones only, so that the sweeper needs no second index on the followee.
create index if not exists follow_followee on graph.follow (followee_id, follower_id);

-- The lists of followers and of whom somebody follows, newest first.
create index if not exists follow_newest_follower on graph.follow (followee_id, edge_event desc) where active;
create index if not exists follow_newest_followee on graph.follow (follower_id, edge_event desc) where active;

-- Kept from the rows of `follow` that really changed; a row at zero equals no row.
create table if not exists graph.person_count (
  user_id uuid primary key,
  followers bigint not null default 0,
  following bigint not null default 0
) with (fillfactor = 70);
