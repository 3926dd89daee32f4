-- After a restore to an earlier moment, before any Holdfast is started on the database again (docs/OPERATIONS.md,
-- "Going back"). Run it in one transaction: psql --single-transaction --set=ON_ERROR_STOP=1 --file=after-restore.sql URL

-- Places in the logs that were given out between that moment and now are known outside: to followers of /v1/events, to
-- the broker, to services with other databases. What is written from now on must not bear the same ones, or it is taken
-- for what they have seen. Places behind the last partition would be refused, so there is one for them.
do $$
declare
  service text;
  place bigint;
  room bigint;
begin
  for service in select sequence_schema from information_schema.sequences where sequence_name = 'log_position' loop
    execute format('select setval(%1$L, nextval(%1$L) + 1000000000)', service || '.log_position') into place;
    select max(substring(pg_get_expr(relpartbound, oid) from $re$TO \('(\d+)'\)$re$)::bigint) into room
    from pg_class where oid in (select inhrelid from pg_inherits where inhparent = (service || '.log')::regclass);
    execute format('create table %1$I.%2$I (like %1$I.log including all)', service, 'log_from_' || room);
    execute format(
      'alter table %1$I.log attach partition %1$I.%2$I for values from (%3$s) to (%4$s)',
      service, 'log_from_' || room, room, place + 1200000
    );
  end loop;
end
$$;

-- With a broker: its topics are made anew, so everything that is kept is published again, and every group begins with the
-- oldest message; what a group has handled already it passes over.
do $$
declare
  of_group text;
begin
  for of_group in select table_schema from information_schema.columns
                  where table_name = 'cursors' and column_name = 'broker_offset' loop
    execute format('update %I.cursors set broker_offset = null', of_group);
    if of_group = 'relay' then
      update relay.cursors set position = 0, index = 0;
    end if;
  end loop;
end
$$;
