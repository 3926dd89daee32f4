-- Up Migration
-- Every service keeps these tables in its own schema.

-- One row for each committed batch: outbox, audit trail and replay source in one. A row for each event would cost a
-- third of the throughput; PostgreSQL compresses the similar events of one batch to a tenth.
create sequence log_position;

create table log (
  position bigint primary key,
  at timestamptz not null,
  events text not null
);

-- How far this service has followed the logs of others.
create table cursors (
  source text primary key,
  position bigint not null
);

-- Commands that could not be carried out without breaking an invariant, with what is needed to find out why.
create table dead_letters (
  id bigint generated always as identity primary key,
  at timestamptz not null default now(),
  command jsonb not null,
  error text not null
);
