-- Each notification whose cause is there anew or was taken back, and each silence that begins or ends. A cause that was
-- away and stays away, and a row that only got a read mark, tell nobody anything.
told as (
  select recipient_id, id, actor_id, cause_event, active, was_counted as was_active
    from changed_notification
   where cause_changed and (active or was_counted)),
hushed as (
  select recipient_id, actor_id, counted as silent from changed_silence where counted <> was_counted),
