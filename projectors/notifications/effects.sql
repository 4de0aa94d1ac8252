-- One frame for each notification whose cause is there anew or was taken back, numbered under its recipient's row lock.
-- A cause that was away and stays away, and a row that only got a read mark, tell nobody anything.
told as (
  select recipient_id, id, cause_event, active,
         row_number() over (partition by recipient_id order by cause_event desc, id desc) - 1 as behind
    from changed_notification
   where cause_changed and (active or was_counted)),
heads as (
  insert into delivery.head as h (recipient_id, seq)
  select recipient_id, count(*) from told group by recipient_id order by recipient_id
  on conflict (recipient_id) do update set seq = h.seq + excluded.seq
  returning recipient_id, seq),
-- A window instead of a join: the planner knows no sizes here and would compare every frame with every head.
numbered as (
  select recipient_id, id, cause_event, active, max(head) over (partition by recipient_id) - behind as seq
    from (select recipient_id, id, cause_event, active, behind, null::bigint as head from told
          union all
          select recipient_id, null, null, null, null, seq from heads) as both_sides),
frames as (
  insert into delivery.frame (recipient_id, seq, notification_id, operation, cause_event)
  select recipient_id, seq, id, case when active then 'set' else 'remove' end, cause_event
    from numbered
   where id is not null
  returning 1),
effect as (select pg_notify('delivery', '') from frames limit 1)
