-- Up Migration

-- Where the catalogue said so: what it said before does not count any more. 0 stands before everything that it says, for
-- the rows of the version before, which writes none.
alter table skus
  add column position bigint not null default 0,
  add column index integer not null default 0;
