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
  primary key (actor_id, post_id)
) with (fillfactor = 90);

-- Every index is a descent for each like, so each serves several: these two find a post's likes and what to sweep with
-- a post, and a viewer's affinity and what to sweep with an author.
create index if not exists reaction_newest on reaction (post_id, edge_event desc);
create index if not exists reaction_of_author on reaction (author_id, actor_id);

create table if not exists comment (
  comment_id uuid primary key,
  place_event uuid,
  post_id uuid,
  author_id uuid,
  post_author_id uuid,
  created_event uuid,
  parent_id uuid,
  day integer,
  removed boolean,
  moderation_event uuid,
  deleted_event uuid
);

create index if not exists comment_of_author on comment (post_author_id, author_id);

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
  primary key (actor_id, post_id)
) with (fillfactor = 90);

-- Who shared a post, and what somebody shared, newest first; a home feed's refill reads the latter alone.
create index if not exists share_newest on share (post_id, share_id desc);
create index if not exists share_newest_by on share (actor_id, share_id desc) include (post_id) where active;
create index if not exists share_of_author on share (author_id, actor_id);

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

-- What a viewer's likes, comments and shares of an author's posts weigh on each UTC day (docs/semantics.md). There are
-- about as many of its rows as likes, so that keeping it up cost as much as keeping the likes (decision 19).
create or replace view affinity as
select viewer_id, author_id, day, sum(weight)::bigint as weight
  from (select actor_id as viewer_id, author_id, day, 1 as weight from reaction where active
         union all
        select actor_id, author_id, day, 4 from share where active
         union all
        select author_id, post_author_id, day, 3 from comment
         where created_event is not null and deleted_event is null and removed is not true) as each
 group by viewer_id, author_id, day;
