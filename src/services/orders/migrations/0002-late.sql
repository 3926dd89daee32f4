-- Up Migration

-- Ids begin with the time at which they were made, and lists by time go by them. An order whose id is older than the
-- order by more than a minute (its cart was checked out long before orders heard of it) is found here instead. The minute
-- is `clockToleranceMs` of the lists.
create function late_at(id text, created_at timestamptz) returns timestamptz language sql immutable parallel safe
  return case
    when id collate "C" < overlay(
      lpad(to_hex((extract(epoch from created_at at time zone 'UTC') * 1000)::bigint - 60000), 12, '0')
      placing '-' from 9 for 0)
    then created_at end;
create index orders_late on orders (late_at(id, created_at), id) where late_at(id, created_at) is not null;
