-- All that one person is to another. What was withdrawn stays as a mark, so that something older cannot come back. The
-- runtime's column `counted` says whether the follow counts: it is active and neither of the two blocks the other.
create table if not exists relation (
  from_id uuid,
  to_id uuid,
  follows boolean,
  followed_at timestamptz,
  follow_event uuid,
  requested boolean,
  requested_at timestamptz,
  request_event uuid,
  blocks boolean,
  blocked_at timestamptz,
  block_event uuid,
  blocked_by boolean,
  blocked_by_event uuid,
  mutes boolean,
  muted_at timestamptz,
  mute_event uuid,
  primary key (from_id, to_id)
) with (fillfactor = 80);

-- Of all rows, not of the active ones only, so that the sweeper needs no second index on the other person.
create index if not exists relation_to on relation (to_id, from_id);

-- The lists of followers, of whom somebody follows, of who asks to follow, and of whom one blocks or mutes, newest first.
create index if not exists relation_newest_follower on relation (to_id, follow_event desc) where follows;
create index if not exists relation_newest_followee on relation (from_id, follow_event desc) where follows;
create index if not exists relation_newest_request on relation (to_id, request_event desc) where requested;
create index if not exists relation_newest_block on relation (from_id, block_event desc) where blocks;
create index if not exists relation_newest_mute on relation (from_id, mute_event desc) where mutes;

-- Whom one person and others hide from each other: few, and every list of comments asks for them.
create index if not exists relation_hidden on relation (from_id, to_id) where blocks or blocked_by;

-- Kept from the rows of `relation` that really changed; a row at zero equals no row.
create table if not exists person_count (
  user_id uuid primary key,
  followers bigint not null default 0,
  following bigint not null default 0
) with (fillfactor = 70);
