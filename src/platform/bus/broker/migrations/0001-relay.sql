-- Up Migration
-- The relay is a consumer group of all logs of this database: what it keeps is what every group keeps.
create table cursors (
  topic text not null,
  partition integer not null default 0,
  position bigint not null,
  index integer not null default 0,
  broker_offset bigint,
  primary key (topic, partition)
);

create table dead_letters (
  id bigint generated always as identity primary key,
  at timestamptz not null default now(),
  command jsonb,
  error text not null,
  status text not null default 'dead' check (status in ('retrying', 'waiting', 'dead')),
  event_id text collate "C" unique,
  key text collate "C",
  topic text,
  event json,
  attempts integer not null default 1,
  next_try_at timestamptz,
  check ((command is null) <> (event is null)),
  check ((status = 'retrying') = (next_try_at is not null))
);

create index dead_letters_by_key on dead_letters (key, id) where key is not null;
create index dead_letters_due on dead_letters (next_try_at) where status = 'retrying';
