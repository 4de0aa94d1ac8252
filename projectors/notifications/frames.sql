-- What is `told`, as frames numbered under their recipients' row locks.
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
