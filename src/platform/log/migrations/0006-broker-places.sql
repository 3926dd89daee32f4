-- Up Migration
-- A broker carries a topic in partitions, and a group has a place in each of them; PostgreSQL's own bus knows one only.
-- `position` and `index` say which events are done, whoever carries them; `broker_offset` is where the partition is
-- read on, null for its oldest message.
alter table cursors
  add column partition integer not null default 0,
  add column broker_offset bigint,
  drop constraint cursors_pkey,
  add primary key (topic, partition);
