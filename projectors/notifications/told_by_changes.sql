-- One frame for each notification whose cause is there anew or was taken back, numbered under its recipient's row lock.
-- A cause that was away and stays away, and a row that only got a read mark, tell nobody anything.
told as (
  select recipient_id, id, cause_event, active,
         row_number() over (partition by recipient_id order by cause_event desc, id desc) - 1 as behind
    from changed_notification
   where cause_changed and (active or was_counted)),
