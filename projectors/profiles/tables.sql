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
  private_event uuid
) with (fillfactor = 80);

create index if not exists person_username on person (username);
