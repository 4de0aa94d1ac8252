-- A notification that was there and is swept away, because its post is gone or its actor erased, is taken back from its
-- recipient, unless that is who is erased. Silences that are swept away have nothing left to hide.
told as (
  select s.recipient_id, s.id, s.actor_id, s.post_author_id, noted.event_id as cause_event, false as active, true as was_active
    from swept_notification as s join noted on noted.subject = s.swept_for
   where s.active
     and not exists (select from {schema}.erased as e where e.user_id = s.recipient_id)),
hushed as (
  select null::uuid as recipient_id, null::uuid as person_id, null::boolean as was_silent, null::boolean as was_blocked
   where false),
