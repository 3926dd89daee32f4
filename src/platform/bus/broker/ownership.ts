import { InfrastructureError } from "../../errors.ts";
import type { Pool } from "../../postgres/pool.ts";
import { readerOf, type Statement } from "../../postgres/statement.ts";
import type { Broker, ReceivedMessage } from "./broker.ts";
import { standsAt } from "./event.ts";

/** A log of this database, as its events name it. */
export interface LogIdentity {
  readonly id: string;
  /** The last place that was taken. */
  readonly position: number;
}

export async function identityOf(pool: Pool, service: string): Promise<LogIdentity> {
  const [identity] = await readerOf(pool).read<LogIdentity>(readIdentity(service));
  return identity!;
}

/**
 * The broker's topic must hold events of this log and no later ones than it has: otherwise the database was made anew,
 * or set back to an earlier moment, and what is written now would be taken for what is known already. What was sent
 * there by somebody who is no log at all says nothing of that.
 */
export async function assertOurs(
  broker: Broker,
  topic: string,
  log: LogIdentity,
  onStray: OnStray,
): Promise<void> {
  const ends = await broker.ends(topic);
  const newest = await Promise.all(
    ends.map((end, partition) => newestOfALog({ broker, topic, partition, end, onStray })),
  );
  for (const message of newest) {
    if (message === undefined) continue;
    if (message.attributes.logid !== log.id) {
      throw refused(`The topic ${topic} holds the events of another database`);
    }
    if ((standsAt(message)?.position ?? 0) > log.position) {
      throw refused(`The topic ${topic} is ahead of the database, which was set back to an earlier moment`);
    }
  }
}

/** The newest message of a partition is of no log. */
export type OnStray = (topic: string, partition: number, offset: number) => void;

interface PartitionEnd {
  readonly broker: Broker;
  readonly topic: string;
  readonly partition: number;
  readonly end: number;
  readonly onStray: OnStray;
}

const lookBack = 1_000;
const looksAtOnce = 20;

async function newestOfALog(from: PartitionEnd): Promise<ReceivedMessage | undefined> {
  const { broker, topic, partition, end, onStray } = from;
  if (end === 0) return undefined;
  const newest = await broker.peek(topic, partition, end - 1);
  if (newest?.attributes.logid !== undefined) return newest;
  if (newest !== undefined) onStray(topic, partition, newest.offset);
  // Of a partition whose messages are all too old nothing is there but its end.
  const oldest = await broker.peek(topic, partition, Math.max(0, end - lookBack));
  return oldest && newestBetween(from, oldest.offset, end - 1);
}

async function newestBetween(
  { broker, topic, partition }: PartitionEnd,
  oldest: number,
  end: number,
): Promise<ReceivedMessage | undefined> {
  for (let to = end; to > oldest; to -= looksAtOnce) {
    const count = Math.min(looksAtOnce, to - oldest);
    const offsets = Array.from({ length: count }, (_, back) => to - 1 - back);
    const found = await Promise.all(offsets.map((offset) => broker.peek(topic, partition, offset)));
    const newest = found.find((message) => message?.attributes.logid !== undefined);
    if (newest !== undefined) return newest;
  }
  return undefined;
}

function refused(what: string): InfrastructureError {
  const advice = "choose another HOLDFAST_TOPIC_PREFIX, or do what docs/OPERATIONS.md says under Going back";
  return new InfrastructureError("bus.topic_not_ours", `${what}: ${advice}.`, { retryable: true });
}

function readIdentity(service: string): Statement {
  return {
    name: `${service}_bus_identity`,
    text: `select i.id, case when p.is_called then p.last_value else 0 end as position
           from ${service}.log_identity i, ${service}.log_position p`,
  };
}
