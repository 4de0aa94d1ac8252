-- What is pushed to people's open connections. It belongs to no projection's schema: a rebuild leaves it alone.
create schema if not exists delivery;

-- The last sequence number given to each recipient; its row's lock is what puts frames in order.
create table if not exists delivery.head (
  recipient_id uuid primary key,
  seq bigint not null
) with (fillfactor = 50);

-- 'set': the notification is there, or is there anew; 'remove': its cause was taken back. Holes in seq are legal.
create table if not exists delivery.frame (
  recipient_id uuid,
  seq bigint,
  notification_id uuid not null,
  operation text not null check (operation in ('set', 'remove')),
  cause_event uuid not null,
  written_at timestamptz not null default now(),
  sent boolean not null default false,
  primary key (recipient_id, seq)
);

create index if not exists frame_unsent on delivery.frame (sent) where not sent;
