-- Up Migration
-- Which log this is: a database that was made anew begins at the first position again, and a broker may still hold the
-- events of the one before it.
create table log_identity (
  id text primary key
);

insert into log_identity values (substr(md5(random()::text || clock_timestamp()::text), 1, 16));
