import { completeUpTo } from "../../log/horizon.ts";
import type { Pool } from "../../postgres/pool.ts";
import { readerOf, type Statement } from "../../postgres/statement.ts";
import type { CursorState } from "../group/state.ts";
import type { ConsumerState } from "../port.ts";

type Lag = Pick<ConsumerState, "lag" | "lag_seconds">;

/** How much of the logs lies before these cursors. */
export async function lagOf(pool: Pool, cursors: readonly CursorState[]): Promise<ConsumerState[]> {
  const topics = [...new Set(cursors.map(({ topic }) => topic))];
  const states = topics.map(async (topic) => {
    const followers = cursors.filter((cursor) => cursor.topic === topic);
    const positions = followers.map(({ position }) => position);
    const lags = await readerOf(pool).read<Lag>(lagBehind(topic), [positions]);
    return followers.map(({ group, position, retrying, dead }, i): ConsumerState => {
      return { group, topic, position, ...lags[i]!, retrying, dead };
    });
  });
  return (await Promise.all(states)).flat();
}

const countedUpTo = 10_000;

/** Up to ten thousand batches are counted; behind that, places that hold no batch count too, which is near enough. */
function lagBehind(topic: string): Statement {
  return {
    name: `bus_lag_${topic}`,
    text: `
      select case when counted.batches <= ${countedUpTo} then counted.batches
                  else (select max(position) from ${topic}.whole_log) - cursor.position end as lag,
             coalesce(greatest(0, extract(epoch from clock_timestamp() - oldest.at)), 0)::float8 as lag_seconds
      from unnest($1::bigint[]) with ordinality as cursor (position, place),
           lateral (select count(*) as batches
                    from (select from ${topic}.whole_log where position > cursor.position limit ${countedUpTo + 1}) as unread)
             as counted
           left join lateral (select at from ${topic}.whole_log where position > cursor.position order by position limit 1)
             as oldest on true
      order by cursor.place`,
  };
}

/** Whether these groups have handled the topic up to this position, in whichever process. */
export async function isHandled(
  pool: Pool,
  groups: readonly string[],
  topic: string,
  position: number,
): Promise<boolean> {
  const reader = readerOf(pool);
  if ((await completeUpTo(reader, topic)) < position) return false;
  const answers = await Promise.all(
    groups.map((group) =>
      reader.read<{ handled: boolean }>(
        {
          name: `bus_handled_${group}_${topic}`,
          text: `select not exists (select from ${topic}.whole_log l where l.position <= $2 and l.position > c.position)
                        as handled
                 from ${group}.cursors c where c.topic = $1`,
        },
        [topic, position],
      ),
    ),
  );
  return answers.every(([row]) => row?.handled === true);
}
