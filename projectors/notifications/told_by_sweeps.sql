-- A notification that was there and is swept away, because its post is gone or its actor erased, is taken back from its
-- recipient, unless that is who is erased.
told as (
  select s.recipient_id, s.id, noted.event_id as cause_event, false as active,
         row_number() over (partition by s.recipient_id order by s.cause_event desc, s.id desc) - 1 as behind
    from swept_notification as s join noted on noted.subject = s.swept_for
   where s.active
     and not exists (select from {schema}.erased as e where e.user_id = s.recipient_id)),
