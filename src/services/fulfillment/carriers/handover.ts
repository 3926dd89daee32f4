import { backoff } from "../../../platform/outside/backoff.ts";
import { NotCalled, type Outside } from "../../../platform/outside/outside.ts";
import { about } from "../../../platform/telemetry/about.ts";
import type { Logger } from "../../../platform/telemetry/logger.ts";
import type { Tracer } from "../../../platform/telemetry/tracer.ts";
import type { HandoverOutcome, Origin, RecordHandover, Shipment } from "../contract.ts";
import { linesLeft } from "../shipment.ts";
import type { Carrier } from "./port.ts";

export interface HandoverOptions {
  readonly carrier: Carrier;
  readonly outside: Pick<Outside, "call" | "state" | "stop">;
  readonly submit: (outcome: RecordHandover) => Promise<unknown>;
  readonly tracer: Tracer;
  readonly logger: Logger;
}

const mostInHand = 2_000;
/** How long a shipment belongs to whoever has claimed it. */
export const leaseMs = 30_000;
export const callTimeoutMs = 10_000;
const longestWaitMs = 8_000;
const retries = { firstMs: 1_000, maxMs: 300_000 };

const givenBack: HandoverOutcome = { result: "not_tried", retry_in_ms: 0 };

/** Gives shipments to the carrier, outside of every transaction, and brings back what it says. */
export class Handover {
  private readonly options: HandoverOptions;
  private readonly inHand = new Set<string>();
  private readonly carried = new Set<Promise<void>>();
  private running = false;

  constructor(options: HandoverOptions) {
    this.options = options;
  }

  /** How many more it can take; the rest waits in the table. */
  get room(): number {
    const { state } = this.options.outside;
    if (!this.running || state === "open") return 0;
    // One call finds out whether the carrier answers again, and the others would not be let through.
    return Math.max(0, (state === "half_open" ? 1 : mostInHand) - this.inHand.size);
  }

  start(): void {
    this.running = true;
  }

  /** Finishes the calls that have begun, and gives back what waits. */
  async stop(): Promise<void> {
    this.running = false;
    await this.options.outside.stop();
    await Promise.all(this.carried);
  }

  take(shipments: readonly Shipment[]): void {
    if (!this.running) return;
    for (const shipment of shipments) {
      if (this.inHand.has(shipment.id)) continue;
      this.inHand.add(shipment.id);
      const carried: Promise<void> = this.carry(shipment).finally(() => this.carried.delete(carried));
      this.carried.add(carried);
    }
  }

  private async carry(shipment: Shipment): Promise<void> {
    const { outcome, origin } = await this.handOver(shipment);
    const command: RecordHandover = { type: "RecordHandover", shipment_id: shipment.id, outcome, ...origin };
    try {
      await this.options.submit(command);
    } catch (error) {
      this.options.logger.warn(
        { err: error, ...about(command) },
        "the carrier's answer could not be kept; it will be asked again",
      );
    } finally {
      this.inHand.delete(shipment.id);
    }
  }

  /** What comes of it is to hang below the step, in the trace of the order. */
  private async handOver(shipment: Shipment): Promise<{ outcome: HandoverOutcome; origin: Origin }> {
    const { items, end } = this.options.tracer.begin([shipment.origin], () => ({
      name: "fulfillment ship",
      attributes: { order_id: shipment.id },
    }));
    const origin = items[0]!;
    const takenAt = performance.now();
    try {
      const outcome = await this.options.outside.call(async (signal) => {
        // After the lease somebody else may ask the carrier too, and could take our call for one that never came.
        const isTooLate = performance.now() - takenAt > longestWaitMs;
        return isTooLate ? givenBack : this.ship(shipment, signal);
      });
      end();
      return { outcome, origin };
    } catch (error) {
      end(error);
      return { outcome: this.failed(shipment, error), origin };
    }
  }

  private async ship(shipment: Shipment, signal: AbortSignal): Promise<HandoverOutcome> {
    const { carrier } = this.options;
    if (shipment.attempts > 0) {
      const found = await carrier.find(shipment.id, signal);
      if (found !== undefined) return { result: "shipped", carrier: carrier.name, ...found };
      if (shipment.cancel_wanted !== null) return { result: "absent" };
      signal.throwIfAborted();
    }
    const answer = await carrier.ship({ shipment_id: shipment.id, lines: linesLeft(shipment) }, signal);
    return answer.result === "shipped" ? { carrier: carrier.name, ...answer } : answer;
  }

  private failed(shipment: Shipment, error: unknown): HandoverOutcome {
    if (error instanceof NotCalled && error.code === "outside.stopping") return givenBack;
    const retry_in_ms = backoff(shipment.attempts + 1, retries);
    if (error instanceof NotCalled) return { result: "not_tried", retry_in_ms };
    const line = {
      err: error,
      ...about({ ...shipment.origin, shipment_id: shipment.id }),
      next_try_in_ms: retry_in_ms,
    };
    this.options.logger.warn(line, "the carrier did not answer; it will be asked again");
    return { result: "unanswered", retry_in_ms };
  }
}
