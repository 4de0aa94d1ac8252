-- Any field may be known before the registration is, so everything but the key may be null.
create table if not exists person (
  user_id uuid primary key,
  username text,
  created_at timestamptz,
  created_event uuid,
  display_name text,
  display_name_event uuid,
  bio text,
  bio_event uuid,
  avatar_media_id uuid,
  avatar_event uuid,
  language text,
  language_event uuid,
  private boolean,
  private_event uuid,
  deactivated boolean,
  deactivation_event uuid,
  suspended boolean,
  suspension_event uuid,
  erase_after timestamptz,
  erasure_request_event uuid
) with (fillfactor = 80);

create index if not exists person_username on person (username);

-- Who is away: few, and every list of comments asks for those among its authors.
create index if not exists person_away on person (user_id) where deactivated or suspended or erase_after is not null;
-- People are searched by a part of either name.
create index if not exists person_names on person using gin (
  username public.gin_trgm_ops, lower(display_name) public.gin_trgm_ops);
