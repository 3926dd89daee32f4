import type { Pool } from "../../postgres/pool.ts";
import { readerOf } from "../../postgres/statement.ts";
import type { ConsumerState } from "../port.ts";
import type { Place } from "./tail.ts";

interface GroupState {
  /** By topic and partition, as `nameOf` spells them. */
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
              (select json_object_agg(topic || '/' || partition, json_build_object(
                        'position', position, 'index', index, 'offset', broker_offset))
               from ${group}.cursors) as places`,
  );
  const rows = await readerOf(pool).read<{
    group: string;
    due_in_ms: number | null;
    places: Record<string, Place> | null;
  }>({ name: `bus_groups_${groups.join("_")}`.slice(0, 63), text: parts.join(" union all ") });
  return new Map(
    rows.map(({ group, due_in_ms, places }) => [
      group,
      { dueInMs: due_in_ms, places: new Map(Object.entries(places ?? {})) },
    ]),
  );
}

/** A cursor's row, and the letters of its topic. */
export interface CursorState extends Omit<ConsumerState, "lag" | "lag_seconds"> {
  readonly position: number;
  readonly partition: number;
  readonly index: number;
  readonly offset: number | null;
}

/** All cursors of these groups, by group, topic and partition. */
export async function readCursors(pool: Pool, groups: readonly string[]): Promise<CursorState[]> {
  if (groups.length === 0) return [];
  const parts = groups.map(
    (group) =>
      `select '${group}' as "group", topic, partition, position, index, broker_offset as "offset",
         (select count(*) from ${group}.dead_letters d where d.topic = c.topic and status = 'retrying') as retrying,
         (select count(*) from ${group}.dead_letters d where d.topic = c.topic and status = 'dead') as dead
       from ${group}.cursors c`,
  );
  return (await pool.query<CursorState>(`${parts.join(" union all ")} order by 1, 2, 3`)).rows;
}

/** Letters of topics that the group keeps no place in, such as what systems outside have sent. */
export async function readLettersAside(pool: Pool, groups: readonly string[]): Promise<ConsumerState[]> {
  if (groups.length === 0) return [];
  const parts = groups.map(
    (group) =>
      `select '${group}' as "group", topic,
              count(*) filter (where status = 'retrying') as retrying, count(*) filter (where status = 'dead') as dead
       from ${group}.dead_letters
       where topic is not null and topic not in (select topic from ${group}.cursors) group by topic`,
  );
  return (await pool.query<ConsumerState>(parts.join(" union all "))).rows;
}

/** Each with the letters of its topic, and those topics of which nothing else is known. */
export function withLetters(
  states: readonly ConsumerState[],
  letters: readonly ConsumerState[],
): ConsumerState[] {
  const nameOf = ({ group, topic }: ConsumerState) => `${group} ${topic}`;
  const aside = new Map(letters.map((state) => [nameOf(state), state]));
  const known = new Set(states.map(nameOf));
  const others = letters.filter((state) => !known.has(nameOf(state)));
  return [...states.map((state) => ({ ...state, ...aside.get(nameOf(state)) })), ...others];
}
