-- Up Migration
-- Every service keeps these tables in its own schema.

-- One row for each committed batch: outbox, audit trail and replay source in one. A row for each event would cost a
-- third of the throughput; PostgreSQL compresses the similar events of one batch to a tenth.
create sequence log_position;

create table log (
  tx xid8 not null,
  position bigint not null,
  at timestamptz not null,
  events text not null,
  -- Commits do not happen in position order, so readers follow (tx, position): see read.ts.
  primary key (tx, position)
);
create unique index log_position_key on log (position);

-- How far this service has followed the logs of others.
create table cursors (
  source text primary key,
  tx xid8 not null,
  position bigint not null
);

-- Commands that could not be carried out without breaking an invariant, with what is needed to find out why.
create table dead_letters (
  id bigint generated always as identity primary key,
  at timestamptz not null default now(),
  command jsonb not null,
  error text not null
);
