-- What is pushed to people's open connections. It belongs to no projection's schema: a rebuild leaves it alone.
create schema if not exists delivery;

-- The last sequence number given to each recipient; its row's lock is what puts frames in order.
create table if not exists delivery.head (
  recipient_id uuid primary key,
  seq bigint not null
) with (fillfactor = 50);

-- 'set': the notification is there, or is there anew; 'remove': its cause was taken back. Holes in seq are legal.
create table if not exists delivery.frame (
  recipient_id uuid,
  seq bigint,
  notification_id uuid not null,
  operation text not null check (operation in ('set', 'remove')),
  cause_event uuid not null,
  written_at timestamptz not null default now(),
  sent boolean not null default false,
  primary key (recipient_id, seq)
);

create index if not exists frame_unsent on delivery.frame (sent) where not sent;

-- Writes frames for the notifications that a statement tells or takes back (the first seven arrays, one element each:
-- whether the cause stands now, and stood before) and for those that the silences it changes hide or bring back (the
-- last four: whether the person was silent for the recipient, and blocked either way); answers how many. A notification
-- is shown while its cause stands, its actor is not silent and the author of its post not blocked.
--
-- It is called within that statement, and volatile, so that each statement in it sees all that is committed when it
-- begins, and what the calling statement has done. Whoever changes what a recipient is shown passes through the lock of
-- the recipient's row, where it sees the others' work or they see its own: a like and a mute at once leave no frame that
-- nobody takes back, and none missing. Only what is written takes a number.
create or replace function delivery.tell(
  told_recipients uuid[], told_ids uuid[], told_actors uuid[], told_post_authors uuid[], told_causes uuid[],
  told_active boolean[], told_was_active boolean[],
  hushed_recipients uuid[], hushed_people uuid[], hushed_were_silent boolean[], hushed_were_blocked boolean[]
) returns bigint language plpgsql volatile as $$
declare
  frames bigint;
begin
  -- The condition is looked at when the row is locked: no row is written only to lock it.
  insert into delivery.head as h (recipient_id, seq)
  select recipient_id, 0
    from (select unnest(told_recipients) union select unnest(hushed_recipients)) as each (recipient_id)
   order by recipient_id
  on conflict (recipient_id) do update set seq = h.seq where false;

  with hushed as (
    select * from unnest(hushed_recipients, hushed_people, hushed_were_silent, hushed_were_blocked)
               as u (recipient_id, person_id, was_silent, was_blocked)),
  told as (
    select * from unnest(
      told_recipients, told_ids, told_actors, told_post_authors, told_causes, told_active, told_was_active)
               as u (recipient_id, id, actor_id, post_author_id, cause_event, active, was_active)),
  concerned as (
    select *, true as is_told from told
    union all
    select n.*, true as active, true as was_active, false as is_told
      from (select n.recipient_id, n.id, n.actor_id, n.post_author_id, n.cause_event
              from hushed join notifications.notification as n
                on n.recipient_id = hushed.recipient_id and n.actor_id = hushed.person_id and n.active
            union
            select n.recipient_id, n.id, n.actor_id, n.post_author_id, n.cause_event
              from hushed join notifications.notification as n
                on n.recipient_id = hushed.recipient_id and n.post_author_id = hushed.person_id and n.active) as n
     where not exists (select from told where told.recipient_id = n.recipient_id and told.id = n.id)),
  looked_at as (
    select c.recipient_id, c.id, c.cause_event, c.is_told,
           c.active and not coalesce(by_actor.counted, false)
             and not coalesce(at_post.blocks or at_post.blocked_by, false) as shown,
           c.was_active and not coalesce(actor_before.was_silent, by_actor.counted, false)
             and not coalesce(author_before.was_blocked, at_post.blocks or at_post.blocked_by, false) as was_shown
      from concerned as c
      left join notifications.silence as by_actor
        on by_actor.recipient_id = c.recipient_id and by_actor.actor_id = c.actor_id
      left join notifications.silence as at_post
        on at_post.recipient_id = c.recipient_id and at_post.actor_id = c.post_author_id
      left join hushed as actor_before
        on actor_before.recipient_id = c.recipient_id and actor_before.person_id = c.actor_id
      left join hushed as author_before
        on author_before.recipient_id = c.recipient_id and author_before.person_id = c.post_author_id),
  numbered as (
    select *, row_number() over (partition by recipient_id order by cause_event, id) as number
      from looked_at
     where shown and (is_told or not was_shown) or was_shown and not shown),
  heads as (
    update delivery.head as h set seq = h.seq + each.frames
      from (select recipient_id, count(*) as frames from numbered group by recipient_id) as each
     where h.recipient_id = each.recipient_id
    returning h.recipient_id, h.seq - each.frames as before)
  insert into delivery.frame (recipient_id, seq, notification_id, operation, cause_event)
  select recipient_id, heads.before + number, id, case when shown then 'set' else 'remove' end, cause_event
    from numbered join heads using (recipient_id);
  get diagnostics frames = row_count;

  if frames > 0 then
    perform pg_notify('delivery', '');
  end if;
  return frames;
end $$;
