import { InfrastructureError } from "../../errors.ts";
import type { Pool } from "../../postgres/pool.ts";
import { readerOf, type Statement } from "../../postgres/statement.ts";
import type { Broker } from "./broker.ts";
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
 * or set back to an earlier moment, and what is written now would be taken for what is known already.
 */
export async function assertOurs(broker: Broker, topic: string, log: LogIdentity): Promise<void> {
  const ends = await broker.ends(topic);
  const newest = await Promise.all(
    ends.map((end, partition) => (end === 0 ? undefined : broker.peek(topic, partition, end - 1))),
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
