-- Each notification whose cause is there anew or was taken back, and each silence of which something was said, with what
-- it was before. A cause that was away and stays away, and a row that only got a read mark, tell nobody anything.
told as (
  select recipient_id, id, actor_id, post_author_id, cause_event, active, was_counted as was_active
    from changed_notification
   where cause_changed and (active or was_counted)),
hushed as (
  select recipient_id, actor_id as person_id, was_counted as was_silent,
         (was_blocks or was_blocked_by) is true as was_blocked
    from changed_silence),
