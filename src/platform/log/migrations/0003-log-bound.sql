-- Up Migration
-- The log that is there becomes the first of its partitions, which would be read through under a lock if nothing proved
-- where it ends. So three migrations, each a transaction of its own: this one bounds what comes, the next one proves that
-- what is there keeps to it, while others write, and the third only changes the catalogue. In between there is room for
-- 1,000,000 more batches.
do $$
declare
  size constant bigint := 200000;
  bound bigint;
begin
  select case when is_called then ((last_value + 1000000) / size + 1) * size else size end into bound from log_position;
  execute format('alter table log add constraint log_bound check (position < %s) not valid', bound);
end
$$;
