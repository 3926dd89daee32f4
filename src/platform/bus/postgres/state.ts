import { transact } from "../../batch/transaction.ts";
import { completeUpTo } from "../../log/horizon.ts";
import type { Pool } from "../../postgres/pool.ts";
import { readerOf, type Statement } from "../../postgres/statement.ts";
import type { ConsumerState, ReplayStart } from "../port.ts";
import type { Place } from "./tail.ts";

interface GroupState {
  readonly places: ReadonlyMap<string, Place>;
  readonly dueInMs: number | null;
}

/** Where these groups stand, in one question. */
export async function groupStates(pool: Pool, groups: readonly string[]): Promise<Map<string, GroupState>> {
  if (groups.length === 0) return new Map();
  const parts = groups.map(
    (group) =>
      `select '${group}' as "group",
              (select extract(epoch from min(next_try_at) - clock_timestamp()) * 1000
               from ${group}.dead_letters where status = 'retrying')::float8 as due_in_ms,
              (select json_agg(json_build_object('topic', topic, 'position', position, 'index', index))
               from ${group}.cursors) as places`,
  );
  const rows = await readerOf(pool).read<{
    group: string;
    due_in_ms: number | null;
    places: (Place & { topic: string })[] | null;
  }>({ name: `bus_groups_${groups.join("_")}`.slice(0, 63), text: parts.join(" union all ") });
  return new Map(
    rows.map(({ group, due_in_ms, places }) => [
      group,
      { dueInMs: due_in_ms, places: new Map(places?.map((place) => [place.topic, place])) },
    ]),
  );
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

// ---- lag -----------------------------------------------------------------------------------------------------------

type Lag = Pick<ConsumerState, "lag" | "lag_seconds">;
type CursorState = Omit<ConsumerState, keyof Lag>;

export async function consumerStates(pool: Pool, schemas: readonly string[]): Promise<ConsumerState[]> {
  const cursors = (
    await pool.query<CursorState>(`${schemas.map(cursorsOf).join(" union all ")} order by 1, 2`)
  ).rows;
  const states = schemas.map(async (topic) => {
    const followers = cursors.filter((cursor) => cursor.topic === topic);
    if (followers.length === 0) return [];
    const positions = followers.map(({ position }) => position);
    const lags = await readerOf(pool).read<Lag>(lagBehind(topic), [positions]);
    return followers.map((cursor, i) => ({ ...cursor, ...lags[i]! }));
  });
  const all = (await Promise.all(states)).flat();
  return cursors.flatMap(({ group, topic }) => all.filter((s) => s.group === group && s.topic === topic));
}

function cursorsOf(schema: string): string {
  return `select '${schema}' as "group", topic, position,
    (select count(*) from ${schema}.dead_letters d where d.topic = c.topic and status = 'retrying') as retrying,
    (select count(*) from ${schema}.dead_letters d where d.topic = c.topic and status = 'dead') as dead
    from ${schema}.cursors c`;
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

// ---- replay --------------------------------------------------------------------------------------------------------

/** Waits for the batch that is under way; answers how many cursors were moved. */
export function moveCursors(
  pool: Pool,
  group: string,
  from: ReplayStart,
  schemas: readonly string[],
): Promise<number> {
  return transact(pool, async (tx) => {
    const cursors = await tx.read<{ topic: string }>(
      {
        name: `${group}_bus_lock_all`,
        text: `select topic from ${group}.cursors where topic = coalesce($1, topic) order by topic for update`,
      },
      [from.topic ?? null],
    );
    const topics = cursors.map(({ topic }) => topic).filter((topic) => schemas.includes(topic));
    for (const topic of topics)
      tx.write(moveTo(group, topic), [topic, from.position ?? null, from.time ?? null]);
    return topics.length;
  });
}

/** Rows that were written at the same time may differ by a few places and milliseconds in their order. */
const neighbours = 1_000;

/**
 * Only ever back: to go forward would be to pass over what nobody has handled. The row at the start is the first one that is handled once more. A time is looked for from the end, so that it costs
 * no more than the replay that follows.
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
      where c.topic = $1`,
  };
}
