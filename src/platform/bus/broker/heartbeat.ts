import { setTimeout as sleep } from "node:timers/promises";
import type { Pool } from "../../postgres/pool.ts";
import { readerOf, type Statement } from "../../postgres/statement.ts";
import { repeat } from "../../repeat.ts";
import type { Logger } from "../../telemetry/logger.ts";
import { relayGroup } from "../bus.ts";
import { isHandled } from "../postgres/lag.ts";
import type { Broker } from "./broker.ts";
import { cloudEvent } from "./event.ts";
import type { Topics } from "./topics.ts";

export interface HeartbeatOptions {
  readonly broker: Broker;
  readonly topics: Topics;
  readonly pool: Pool;
  readonly logger: Logger;
}

const everyMs = 1_000;
const askAgainMs = 50;
const type = "Heartbeat";

/** Where it is said up to when a service's events have all been published: without it, silence could mean anything. */
export function heartbeatOf(service: string): string {
  return `${service}.heartbeat`;
}

/** Says so every second, for as long as it is true. */
export function heartbeats(services: readonly string[], { broker, topics, pool, logger }: HeartbeatOptions) {
  const reader = readerOf(pool);

  async function beat(): Promise<void> {
    if (!broker.state().isUp) return;
    try {
      await topics.made();
      await Promise.all(services.map(tell));
    } catch (error) {
      logger.debug({ err: error }, "could not tell up to when everything was published; trying again");
    }
  }

  async function tell(service: string): Promise<void> {
    const [{ now, position }] = (await reader.read<{ now: Date; position: number }>(
      lastWritten(service),
    )) as [{ now: Date; position: number }];
    if (position > 0 && !(await isRelayed(service, position))) return;
    const id = `${heartbeatOf(service)}-${now.getTime()}`;
    const about = {
      id,
      source: `/holdfast/${service}`,
      type,
      subject: service,
      time: now,
      partitionkey: service,
    };
    await broker.publish(topics.nameOf(heartbeatOf(service)), [
      { key: service, attributes: cloudEvent(about), body: "{}" },
    ]);
  }

  async function isRelayed(service: string, position: number): Promise<boolean> {
    for (let tries = 0; tries < everyMs / askAgainMs; tries++) {
      if (await isHandled(pool, [relayGroup], service, position)) return true;
      await sleep(askAgainMs, undefined, { ref: false });
    }
    return false;
  }

  return repeat(everyMs, beat);
}

/** Up to when the service's events have all been published, as was said last. */
export async function lastHeartbeat(
  broker: Broker,
  topics: Topics,
  service: string,
): Promise<Date | undefined> {
  const topic = topics.nameOf(heartbeatOf(service));
  const ends = await broker.ends(topic);
  const looks = ends.map((end, partition) =>
    end === 0 ? undefined : broker.peek(topic, partition, end - 1),
  );
  const times = (await Promise.all(looks)).flatMap((message) => {
    const { type: said, time = "" } = message?.attributes ?? {};
    const at = Date.parse(time);
    return said === type && !Number.isNaN(at) ? [at] : []; // whatever else is there is not ours
  });
  return times.length === 0 ? undefined : new Date(Math.max(...times));
}

/** Whatever was committed by then stands at this place at most. */
function lastWritten(service: string): Statement {
  return {
    name: `${service}_bus_last_written`,
    text: `select clock_timestamp() as now, case when is_called then last_value else 0 end as position
           from ${service}.log_position`,
  };
}
