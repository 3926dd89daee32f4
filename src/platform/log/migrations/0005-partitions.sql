-- Up Migration
-- The log is kept in parts, by position, so that what is too old is dropped as a whole file. Later parts are made ahead
-- of need (src/platform/log/partitions.ts); these last until that runs for the first time.

-- What the dropped part of the log has come to, told as batches at positions of that part. The last row, with no events
-- where nobody needs any, is the horizon: everything up to there is gone.
create table log_base (
  position bigint primary key,
  at timestamptz not null,
  events text not null
);

alter table log rename to log_from_0;
alter index log_pkey rename to log_from_0_pkey;

create table log (
  position bigint primary key,
  at timestamptz not null,
  events text not null
) partition by range (position);

do $$
declare
  size constant bigint := 200000;
  bound bigint;
begin
  select substring(pg_get_constraintdef(oid) from '\d+') into bound from pg_constraint
  where conrelid = 'log_from_0'::regclass and conname = 'log_bound';
  execute format('alter table log attach partition log_from_0 for values from (minvalue) to (%s)', bound);
  alter table log_from_0 drop constraint log_bound;
  for part in 1..5 loop
    execute format('create table %I (like log including all)', 'log_from_' || bound);
    execute format(
      'alter table log attach partition %I for values from (%s) to (%s)', 'log_from_' || bound, bound, bound + size
    );
    bound := bound + size;
  end loop;
end
$$;

-- What a reader sees of it: the base first, then what is kept.
create view whole_log as
  select position, at, events from log_base where events <> '[]'
  union all
  select position, at, events from log;
