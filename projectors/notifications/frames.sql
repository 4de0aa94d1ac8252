-- What is `told` and who is `hushed`, as frames: delivery.sql says how.
effect as (
  select delivery.tell(
           t.recipients, t.ids, t.actors, t.causes, t.active, t.was_active, h.recipients, h.actors, h.silent) as frames
    from (select array_agg(recipient_id) as recipients, array_agg(id) as ids, array_agg(actor_id) as actors,
                 array_agg(cause_event) as causes, array_agg(active) as active, array_agg(was_active) as was_active
            from told) as t,
         (select array_agg(recipient_id) as recipients, array_agg(actor_id) as actors, array_agg(silent) as silent
            from hushed) as h
   where t.recipients is not null or h.recipients is not null)
