import type { Statement } from "../../postgres/statement.ts";

/** What a group asks of its own schema. Whoever holds its cursors' locks may change its cursors and its dead letters. */
export type GroupStatements = ReturnType<typeof groupStatements>;

export function groupStatements(group: string) {
  const statement = (name: string, text: string): Statement => ({ name: `${group}_bus_${name}`, text });
  const select = `select topic, partition, position, index, broker_offset as "offset", pg_current_xact_id()::text as tx
    from ${group}.cursors
    where (topic, partition) in (select * from unnest($1::text[], $2::integer[])) order by topic, partition`;
  return {
    /**
     * Makes the cursors that are missing. When a broker carries the topic from now on, all its partitions go on where the
     * log was left. Once one of them has moved, that says nothing about the others, and those begin at the beginning.
     */
    open: statement(
      "open",
      `insert into ${group}.cursors (topic, partition, position, index)
       select n.topic, n.partition, coalesce(log.position, 0), coalesce(log.index, 0)
       from unnest($1::text[], $2::integer[]) as n (topic, partition)
            left join lateral (
              select position, index from ${group}.cursors c
              where c.topic = n.topic and not exists (
                select from ${group}.cursors moved where moved.topic = n.topic and moved.broker_offset is not null)
              order by position, index limit 1) as log on true
       order by 1, 2 on conflict do nothing`,
    ),
    /** From several partitions back to one: who has handled an event knows it again. */
    unite: statement(
      "unite",
      `update ${group}.cursors c set position = whole.position, index = 0, broker_offset = null
       from (select topic, min(position) as position from ${group}.cursors
             where topic = any($1::text[]) group by topic having max(partition) > 0) as whole
       where c.topic = whole.topic and c.partition = 0`,
    ),
    closeOthers: statement(
      "close_others",
      `delete from ${group}.cursors where topic = any($1::text[]) and partition > 0`,
    ),
    /** Another process that works for the group makes it come back with fewer rows. */
    lock: statement("lock", `${select} for update skip locked`),
    await: statement("await", `${select} for update`),
    awaitAll: statement("await_all", `select from ${group}.cursors order by topic, partition for update`),
    move: statement(
      "move",
      `update ${group}.cursors c set position = n.position, index = n.index, broker_offset = n.broker_offset
       from unnest($1::text[], $2::integer[], $3::bigint[], $4::integer[], $5::bigint[])
         as n (topic, partition, position, index, broker_offset)
       where (c.topic, c.partition) = (n.topic, n.partition)`,
    ),
    moved: statement(
      "moved",
      `select 1 from ${group}.cursors where topic = $1 and partition = $2 and position = $3 and index = $4`,
    ),
    parkedKeys: statement(
      "parked_keys",
      `select distinct key from ${group}.dead_letters where key is not null`,
    ),
    park: statement(
      "park",
      `insert into ${group}.dead_letters (event_id, topic, key, event, status, error, attempts, next_try_at)
       select event_id, topic, key, event, $5, $6, $7, clock_timestamp() + $8 * interval '1 millisecond'
       from unnest($1::text[], $2::text[], $3::text[], $4::json[])
         with ordinality as e (event_id, topic, key, event, place)
       order by place on conflict (event_id) do nothing`,
    ),
    due: statement(
      "due",
      `select id, event, attempts from ${group}.dead_letters
       where status = 'retrying' and next_try_at <= clock_timestamp() order by id limit $1`,
    ),
    nextDue: statement(
      "next_due",
      `select (extract(epoch from min(next_try_at) - clock_timestamp()) * 1000)::float8 as due_in_ms
       from ${group}.dead_letters where status = 'retrying'`,
    ),
    failedAgain: statement(
      "failed_again",
      `update ${group}.dead_letters
       set attempts = $2, error = $3, status = case when $4::float8 is null then 'dead' else 'retrying' end,
           next_try_at = clock_timestamp() + $4 * interval '1 millisecond'
       where id = $1`,
    ),
    settle: statement("settle", `delete from ${group}.dead_letters where id = any($1::bigint[])`),
    /** The first one of each key has its turn, if it is one that waited for it. */
    proceed: statement(
      "proceed",
      `update ${group}.dead_letters set status = 'retrying', next_try_at = clock_timestamp()
       where status = 'waiting'
         and id in (select min(id) from ${group}.dead_letters where key = any($1::text[]) group by key)`,
    ),
  };
}

/** Nothing is lost when a crash takes this transaction back, so its commit need not wait for the disk. */
export const commitWithoutWaiting: Statement = {
  name: "bus_commit_without_waiting",
  text: "select set_config('synchronous_commit', 'off', true)",
};
