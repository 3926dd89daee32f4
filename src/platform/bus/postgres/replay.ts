import { transact } from "../../batch/transaction.ts";
import type { Pool } from "../../postgres/pool.ts";
import type { Statement } from "../../postgres/statement.ts";
import type { ReplayStart } from "../port.ts";

/** Waits for the batch that is under way; answers how many cursors were moved. */
export function moveCursors(
  pool: Pool,
  group: string,
  from: ReplayStart,
  isCarried: (topic: string) => boolean,
): Promise<number> {
  return transact(pool, async (tx) => {
    const cursors = await tx.read<{ topic: string }>(
      {
        name: `${group}_bus_lock_all`,
        text: `select topic from ${group}.cursors where topic = coalesce($1, topic) and partition = 0 order by topic for update`,
      },
      [from.topic ?? null],
    );
    const topics = cursors.map(({ topic }) => topic).filter(isCarried);
    for (const topic of topics)
      tx.write(moveTo(group, topic), [topic, from.position ?? null, from.time ?? null]);
    return topics.length;
  });
}

/** Rows that were written at the same time may differ by a few places and milliseconds in their order. */
const neighbours = 1_000;

/**
 * Only ever back: to go forward would be to pass over what nobody has handled. The row at the start is the first one that
 * is handled once more. A time is looked for from the end, so that it costs no more than the replay that follows.
 */
function moveTo(group: string, topic: string): Statement {
  return {
    name: `${group}_bus_replay_${topic}`,
    text: `
      with before as (
        select coalesce(max(position), 0) as position
        from (select position from ${topic}.log where at < $3::timestamptz order by position desc limit 1) as last
      ), start as (
        select coalesce(
          (select min(position) - 1 from ${topic}.log
           where at >= $3::timestamptz
             and position between before.position - ${neighbours} and before.position),
          before.position) as position
        from before
      )
      update ${group}.cursors as c
      set position = least(c.position, new.position),
          index = case when new.position < c.position then 0 else c.index end
      from (select case when $2::bigint is null then start.position else greatest($2::bigint - 1, 0) end as position
            from start) as new
      where c.topic = $1 and c.partition = 0`,
  };
}
