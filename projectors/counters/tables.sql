-- Engagement rows and the counts derived from them. `counted` and `was_*` columns are added by the runtime (runtime/apply.py),
-- indexes for sweeping by runtime/prepare.py.

create table if not exists post (
  post_id uuid primary key,
  created_event uuid,
  author_id uuid,
  quote_of_id uuid,
  deleted_event uuid
) with (fillfactor = 90);

create table if not exists reaction (
  post_id uuid not null,
  actor_id uuid not null,
  edge_event uuid,
  active boolean,
  reaction text,
  author_id uuid,
  day integer,
  primary key (post_id, actor_id)
) with (fillfactor = 90);

create index if not exists reaction_newest on reaction (post_id, edge_event desc) where active;

create table if not exists comment (
  comment_id uuid primary key,
  place_event uuid,
  post_id uuid,
  author_id uuid,
  post_author_id uuid,
  created_event uuid,
  parent_id uuid,
  day integer,
  deleted_event uuid
);

-- An edge that is no longer active stays as a mark, so that an older bookmark cannot come back.
create table if not exists bookmark (
  actor_id uuid not null,
  post_id uuid not null,
  edge_event uuid,
  active boolean,
  since timestamptz,
  primary key (actor_id, post_id)
) with (fillfactor = 90);

create index if not exists bookmark_newest on bookmark (actor_id, edge_event desc) where active;

create table if not exists share (
  post_id uuid not null,
  actor_id uuid not null,
  edge_event uuid,
  active boolean,
  share_id uuid,
  author_id uuid,
  day integer,
  primary key (post_id, actor_id)
) with (fillfactor = 90);

-- Who shared a post, and what somebody shared, newest first; a home feed's refill reads the latter alone.
create index if not exists share_newest on share (post_id, share_id desc) where active;
create index if not exists share_newest_by on share (actor_id, share_id desc) include (post_id) where active;

create table if not exists post_count (
  post_id uuid primary key,
  likes bigint not null default 0,
  comments bigint not null default 0,
  shares bigint not null default 0,
  quotes bigint not null default 0
) with (fillfactor = 60);

create table if not exists comment_count (
  comment_id uuid primary key,
  likes bigint not null default 0,
  replies bigint not null default 0
) with (fillfactor = 60);

create table if not exists person_count (
  user_id uuid primary key,
  posts bigint not null default 0
) with (fillfactor = 60);

create table if not exists reaction_count (
  post_id uuid not null,
  reaction text not null,
  n bigint not null default 0,
  primary key (post_id, reaction)
) with (fillfactor = 60);

create table if not exists affinity (
  viewer_id uuid not null,
  author_id uuid not null,
  day integer not null,
  weight bigint not null default 0,
  primary key (viewer_id, author_id, day)
) with (fillfactor = 90);
