create table if not exists post (
  post_id uuid primary key,
  place_event uuid,
  author_id uuid,
  visibility text,
  language text,
  media_ids uuid[],
  reply_to_id uuid,
  reply_to_author_id uuid,
  quote_of_id uuid,
  quote_of_author_id uuid,
  created_at timestamptz,
  created_event uuid,
  content text,
  hashtags text[],
  mentioned_ids uuid[],
  edited_at timestamptz,
  content_event uuid,
  moderation text,
  moderation_event uuid,
  moderation_score integer,
  score_event uuid
);

-- A post's id is in the order of time: an author's posts, a home feed's refill and the global feed are read by it.
create index if not exists post_author on post (author_id, post_id desc);
create index if not exists post_public on post (post_id desc) where visibility = 'public';

-- The public posts with a hashtag, and posts by their words (query_api/search has the same expression). A stored mention is
-- no word.
create index if not exists post_hashtag on post using gin (hashtags) where visibility = 'public';
create index if not exists post_words on post using gin (
  to_tsvector('simple', regexp_replace(content, '<@[0-9a-f-]{36}>', ' ', 'g')));

-- Few: what quotes a post whose text a reader looks for in their home feed.
create index if not exists post_quote on post (quote_of_id) where quote_of_id is not null;

-- Every text a post ever had, the first one too; version_id is the event that wrote it.
create table if not exists post_version (
  post_id uuid,
  version_id uuid,
  author_id uuid,
  content text,
  hashtags text[],
  mentioned_ids uuid[],
  written_at timestamptz,
  written_event uuid,
  primary key (post_id, version_id)
);

-- Few: the edits, by which the purger finds what they replaced.
create index if not exists post_version_edit on post_version (written_at) where version_id <> post_id;

create table if not exists comment (
  comment_id uuid primary key,
  place_event uuid,
  post_id uuid,
  author_id uuid,
  parent_id uuid,
  parent_author_id uuid,
  created_at timestamptz,
  created_event uuid,
  content text,
  mentioned_ids uuid[],
  edited_at timestamptz,
  content_event uuid,
  moderation text,
  moderation_event uuid,
  deleted_event uuid
);

create index if not exists comment_post on comment (post_id, comment_id);
create index if not exists comment_parent on comment (parent_id, comment_id) where parent_id is not null;
-- By the sweeper, and for a reader's blocks: what somebody wrote under one post.
create index if not exists comment_author on comment (author_id, post_id);
-- Few: those that may have to show as removed, and those of which nobody is told.
create index if not exists comment_deleted on comment (post_id) where deleted_event is not null;
create index if not exists comment_moderated on comment (post_id) where moderation is not null;
