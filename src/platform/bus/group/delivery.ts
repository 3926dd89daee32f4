import { TryAgain } from "../../batch/road.ts";
import { InfrastructureError } from "../../errors.ts";
import { isTransient } from "../../postgres/errors.ts";
import { orderIdOf } from "../../telemetry/about.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { StepDescription } from "../../telemetry/tracer.ts";
import type { AfterCommit, BusEvent } from "../port.ts";

/** Nobody is to blame: the very same batch may succeed. */
export function mayPass(error: unknown): boolean {
  return (
    isTransient(error) ||
    error instanceof TryAgain ||
    (error instanceof InfrastructureError && error.retryable)
  );
}

/** An event's handling as a step of its trace. */
export function describe(group: string, { id, type, subject, topic, data }: BusEvent): StepDescription {
  const attributes = { "messaging.message.id": id, "messaging.destination.name": topic, subject };
  const order_id = orderIdOf(data);
  return { name: `${group} ${type}`, attributes: { ...attributes, ...(order_id && { order_id }) } };
}

/** The batch is durable whatever comes of this. */
export function runAfterCommit(afterCommit: AfterCommit | undefined, logger: Logger): void {
  try {
    afterCommit?.();
  } catch (error) {
    logger.error({ err: error }, "a batch of events was handled, but what should follow it has failed");
  }
}

/** A fair part of the batch for each topic: what one does not need is for those that have more. */
export function share(waiting: readonly number[], limit: number): number[] {
  const counts = waiting.map(() => 0);
  const smallestFirst = [...waiting.keys()].sort((a, b) => waiting[a]! - waiting[b]!);
  let left = limit;
  smallestFirst.forEach((topic, i) => {
    counts[topic] = Math.min(waiting[topic]!, Math.floor(left / (smallestFirst.length - i)));
    left -= counts[topic];
  });
  return counts;
}
