import { transact } from "../../batch/transaction.ts";
import type { Pool } from "../../postgres/pool.ts";
import { readerOf, type Statement } from "../../postgres/statement.ts";
import { groupStatements } from "../group/statements.ts";
import type { Place } from "../group/tail.ts";
import type { ReplayStart } from "../port.ts";
import type { Broker } from "./broker.ts";
import type { Topics } from "./topics.ts";

export async function readPlace(
  pool: Pool,
  group: string,
  topic: string,
  partition: number,
): Promise<Place | undefined> {
  const place: Statement = {
    name: `${group}_bus_place`,
    text: `select position, index, broker_offset as "offset" from ${group}.cursors where topic = $1 and partition = $2`,
  };
  return (await readerOf(pool).read<Place>(place, [topic, partition]))[0];
}

export interface RewindOptions {
  readonly pool: Pool;
  readonly broker: Broker;
  readonly topics: Topics;
  /** The group follows what the broker has of the topic. */
  readonly isCarried: (group: string, topic: string) => boolean;
}

/** All at once: a partition that was opened later would not know where the others began. */
export function openPlaces(pool: Pool, group: string, topic: string, partitions: number): Promise<void> {
  const numbers = Array.from({ length: partitions }, (_, partition) => partition);
  return transact(pool, async (tx) => {
    tx.write(groupStatements(group).open, [numbers.map(() => topic), numbers]);
  });
}

interface Cursor extends Place {
  readonly topic: string;
  readonly partition: number;
}

/**
 * Moves the group's cursors back, never forward, and answers of how many topics. A position is looked for by the
 * consumer, from the oldest message that the broker has; where a time begins the broker knows.
 */
export async function rewindCursors(
  options: RewindOptions,
  group: string,
  from: ReplayStart,
): Promise<number> {
  const { pool, isCarried } = options;
  const isWanted = (topic: string) => isCarried(group, topic) && (from.topic ?? topic) === topic;
  const starts = from.time === undefined ? new Map() : await startsAt(from.time, options, group, isWanted);
  return transact(pool, async (tx) => {
    const cursors = await tx.read<Cursor>(lockAll(group));
    const wanted = cursors.filter(({ topic }) => isWanted(topic));
    for (const { topic, partition, position, index, offset } of wanted) {
      if (from.position !== undefined) {
        const before = Math.max(0, from.position - 1);
        if (before < position || (before === position && index > 0)) {
          tx.write(moveTo(group), [topic, partition, before, null]);
        }
      } else {
        const start = starts.get(topic)?.[partition] ?? 0;
        if (offset !== null && start < offset) tx.write(moveTo(group), [topic, partition, 0, start]);
      }
    }
    return new Set(wanted.map(({ topic }) => topic)).size;
  });
}

async function startsAt(
  time: Date,
  { pool, broker, topics }: RewindOptions,
  group: string,
  isWanted: (topic: string) => boolean,
): Promise<Map<string, number[]>> {
  const rows = await readerOf(pool).read<{ topic: string }>({
    name: `${group}_bus_topics`,
    text: `select distinct topic from ${group}.cursors`,
  });
  const wanted = rows.map(({ topic }) => topic).filter(isWanted);
  const starts = wanted.map(
    async (topic) => [topic, await broker.offsetsAt(topics.nameOf(topic), time)] as const,
  );
  return new Map(await Promise.all(starts));
}

function lockAll(group: string): Statement {
  return {
    name: `${group}_bus_lock_places`,
    text: `select topic, partition, position, index, broker_offset as "offset" from ${group}.cursors
           order by topic, partition for update`,
  };
}

function moveTo(group: string): Statement {
  return {
    name: `${group}_bus_move_to`,
    text: `update ${group}.cursors set position = $3, index = 0, broker_offset = $4 where topic = $1 and partition = $2`,
  };
}
