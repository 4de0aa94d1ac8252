-- What is `told` and who is `hushed`, as frames: delivery.sql says how.
effect as (
  select delivery.tell(
           t.recipients, t.ids, t.actors, t.post_authors, t.causes, t.active, t.was_active,
           h.recipients, h.people, h.were_silent, h.were_blocked) as frames
    from (select array_agg(recipient_id) as recipients, array_agg(id) as ids, array_agg(actor_id) as actors,
                 array_agg(post_author_id) as post_authors, array_agg(cause_event) as causes,
                 array_agg(active) as active, array_agg(was_active) as was_active
            from told) as t,
         (select array_agg(recipient_id) as recipients, array_agg(person_id) as people,
                 array_agg(was_silent) as were_silent, array_agg(was_blocked) as were_blocked
            from hushed) as h
   where t.recipients is not null or h.recipients is not null)
