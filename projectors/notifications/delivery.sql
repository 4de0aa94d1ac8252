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

-- Writes frames for the notifications that a statement tells or takes back (the first six arrays, one element each:
-- whether the cause stands now, and stood before) and for those whose actor's silence it begins or ends (the last
-- three); answers how many. A notification is shown while its cause stands and its actor is not silent.
--
-- It is called within that statement, and volatile, so that each statement in it sees all that is committed when it
-- begins, and what the calling statement has done. Whoever changes what a recipient is shown passes through the lock of
-- the recipient's row, where it sees the others' work or they see its own: a like and a mute at once leave no frame that
-- nobody takes back, and none missing.
create or replace function delivery.tell(
  told_recipients uuid[], told_ids uuid[], told_actors uuid[], told_causes uuid[],
  told_active boolean[], told_was_active boolean[],
  hushed_recipients uuid[], hushed_actors uuid[], hushed_silent boolean[]
) returns bigint language plpgsql volatile as $$
declare
  frames_of_told bigint;
  frames_of_hushed bigint := 0;
begin
  insert into delivery.head as h (recipient_id, seq)
  select recipient_id, sum(frames)
    from (select recipient_id, 1 as frames from unnest(told_recipients) as t (recipient_id)
          union all
          select recipient_id, 0 from unnest(hushed_recipients) as s (recipient_id)) as each
   group by recipient_id order by recipient_id
  on conflict (recipient_id) do update set seq = h.seq + excluded.seq;

  -- What stays hidden leaves its number unused.
  insert into delivery.frame (recipient_id, seq, notification_id, operation, cause_event)
  select t.recipient_id, h.seq - t.behind, t.id,
         case when t.active and s.actor_id is null then 'set' else 'remove' end, t.cause_event
    from (select *, row_number() over (partition by recipient_id order by cause_event desc, id desc) - 1 as behind
            from unnest(told_recipients, told_ids, told_actors, told_causes, told_active, told_was_active)
                 as u (recipient_id, id, actor_id, cause_event, active, was_active)) as t
    join delivery.head as h on h.recipient_id = t.recipient_id
    left join notifications.silence as s
      on s.recipient_id = t.recipient_id and s.actor_id = t.actor_id and s.counted
    left join unnest(hushed_recipients, hushed_actors, hushed_silent) as now (recipient_id, actor_id, silent)
      on now.recipient_id = t.recipient_id and now.actor_id = t.actor_id
   where t.active and s.actor_id is null
      or t.was_active and not coalesce(not now.silent, s.actor_id is not null);
  get diagnostics frames_of_told = row_count;

  if hushed_recipients is not null then
    with hidden_or_back as (
      select n.recipient_id, n.id, n.cause_event, now.silent,
             row_number() over (partition by n.recipient_id order by n.cause_event desc, n.id desc) - 1 as behind
        from unnest(hushed_recipients, hushed_actors, hushed_silent) as now (recipient_id, actor_id, silent)
        join notifications.notification as n
          on n.recipient_id = now.recipient_id and n.actor_id = now.actor_id and n.active
       where not exists (select from unnest(told_recipients, told_ids) as t (recipient_id, id)
                          where t.recipient_id = n.recipient_id and t.id = n.id)),
    heads as (
      update delivery.head as h set seq = h.seq + each.frames
        from (select recipient_id, count(*) as frames from hidden_or_back group by recipient_id) as each
       where h.recipient_id = each.recipient_id
      returning h.recipient_id, h.seq)
    insert into delivery.frame (recipient_id, seq, notification_id, operation, cause_event)
    select recipient_id, heads.seq - behind, id, case when silent then 'remove' else 'set' end, cause_event
      from hidden_or_back join heads using (recipient_id);
    get diagnostics frames_of_hushed = row_count;
  end if;

  if frames_of_told + frames_of_hushed > 0 then
    perform pg_notify('delivery', '');
  end if;
  return frames_of_told + frames_of_hushed;
end $$;
