-- A row without a cause holds a read mark that came first, or one for a notification that was never this reader's.
-- Unread: active, and cause_event > coalesce(read_event, nil), and cause_event > coalesce(read_mark.mark_event, nil).
create table if not exists notification (
  recipient_id uuid,
  id uuid,
  actor_id uuid,
  verb text,
  target_type text,
  target_id uuid,
  post_id uuid,
  post_author_id uuid,
  data jsonb,
  active boolean,
  caused_at timestamptz,
  cause_event uuid,
  read_event uuid,
  primary key (recipient_id, id)
) with (fillfactor = 80);

create index if not exists notification_newest on notification (recipient_id, cause_event desc) where active;

-- What one person did that another is told of: what a silence hides, and what the sweeper of an erasure deletes.
create index if not exists notification_actor on notification (actor_id, recipient_id);

-- The same of what others did at a third person's post.
create index if not exists notification_post_author on notification (post_author_id, recipient_id);

-- Whom a recipient hears nothing of. The runtime's column `counted` says whether any of the three reasons stands.
create table if not exists silence (
  recipient_id uuid,
  actor_id uuid,
  blocks boolean,
  block_event uuid,
  blocked_by boolean,
  blocked_by_event uuid,
  mutes boolean,
  mute_event uuid,
  primary key (recipient_id, actor_id)
) with (fillfactor = 80);

-- mark_event is itself the event up to which everything is read.
create table if not exists read_mark (
  recipient_id uuid primary key,
  mark_event uuid
) with (fillfactor = 80);
