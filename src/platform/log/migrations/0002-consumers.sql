-- Up Migration
-- How far the service's consumer group has come in each topic: `position` is the last row of the topic's log that is
-- done, `index` counts the events of the row right behind it that are done too, for a row may hold thousands.
alter table cursors rename column source to topic;
alter table cursors add column index integer not null default 0;

-- Besides commands that were given up on, events: `retrying` by itself at `next_try_at`, `waiting` behind an earlier one
-- of the same key, or `dead`, given up on. `attempts` are the rounds that failed.
alter table dead_letters
  alter column command drop not null,
  add column status text not null default 'dead' check (status in ('retrying', 'waiting', 'dead')),
  add column event_id text collate "C" unique,
  add column key text collate "C",
  add column topic text,
  add column event json,
  add column attempts integer not null default 1,
  add column next_try_at timestamptz,
  add check ((command is null) <> (event is null)),
  add check ((status = 'retrying') = (next_try_at is not null));

create index dead_letters_by_key on dead_letters (key, id) where key is not null;
create index dead_letters_due on dead_letters (next_try_at) where status = 'retrying';
