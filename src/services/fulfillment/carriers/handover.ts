import type { FulfillmentCommand, HandoverOutcome, RecordHandover, Shipment } from "../contract.ts";
import { linesLeft } from "../shipment.ts";
import type { Carrier } from "./port.ts";

export interface HandoverOptions {
  readonly carrier: Carrier;
  /** Runs a call unless too many have failed; then it throws `NotTried`. */
  readonly guard: <Answer>(call: () => Promise<Answer>) => Promise<Answer>;
  /** Whether calls are let through at all. */
  readonly isReachable: () => boolean;
  readonly submit: (outcome: FulfillmentCommand & RecordHandover) => Promise<unknown>;
  readonly onError: (error: unknown) => void;
}

/** The carrier was not called. */
export class NotTried extends Error {}

const callsAtOnce = 64;
const mostInHand = 2_000;
/** How long a shipment belongs to whoever has claimed it: the longest wait and two calls that time out. */
export const leaseMs = 30_000;
export const callTimeoutMs = 10_000;
const longestWaitMs = 8_000;

const givenBack: HandoverOutcome = { result: "not_tried", retry_in_ms: 0 };

interface Job {
  readonly shipment: Shipment;
  readonly takenAt: number;
}

/** Gives shipments to the carrier, outside of every transaction, and brings back what it says. */
export class Handover {
  private readonly options: HandoverOptions;
  private readonly waiting: Job[] = [];
  private readonly inHand = new Set<string>();
  private readonly carried = new Set<Promise<void>>();
  private underWay = 0;
  private running = false;

  constructor(options: HandoverOptions) {
    this.options = options;
  }

  /** How many more it can take; the rest waits in the table. */
  get room(): number {
    return this.running && this.options.isReachable() ? Math.max(0, mostInHand - this.inHand.size) : 0;
  }

  get state() {
    return { waiting: this.waiting.length, under_way: this.underWay };
  }

  start(): void {
    this.running = true;
  }

  /** Finishes the calls that have begun, and gives back what waits. */
  async stop(): Promise<void> {
    this.running = false;
    await Promise.all([...this.carried, ...this.waiting.splice(0).map((job) => this.bring(job, givenBack))]);
  }

  take(shipments: readonly Shipment[]): void {
    if (!this.running) return;
    const takenAt = performance.now();
    for (const shipment of shipments) {
      if (this.inHand.has(shipment.id)) continue;
      this.inHand.add(shipment.id);
      this.waiting.push({ shipment, takenAt });
    }
    this.proceed();
  }

  private proceed(): void {
    const free = callsAtOnce - this.underWay;
    for (const job of this.waiting.splice(0, free)) {
      this.underWay++;
      const carried: Promise<void> = this.carry(job).finally(() => this.carried.delete(carried));
      this.carried.add(carried);
    }
  }

  private async carry(job: Job): Promise<void> {
    // After the lease somebody else may ask the carrier too, and could take our call for one that never came.
    const isTooLate = performance.now() - job.takenAt > longestWaitMs;
    const outcome = isTooLate ? givenBack : await this.outcomeOf(job.shipment);
    this.underWay--;
    if (this.waiting.length > 0) this.proceed();
    await this.bring(job, outcome);
  }

  private async bring({ shipment }: Job, outcome: HandoverOutcome): Promise<void> {
    try {
      const command = { type: "RecordHandover", shipment_id: shipment.id, outcome } as const;
      await this.options.submit({ ...command, ...shipment.origin });
    } catch (error) {
      this.options.onError(error); // the lease runs out, and the carrier is asked whether it has it
    } finally {
      this.inHand.delete(shipment.id);
    }
  }

  private async outcomeOf(shipment: Shipment): Promise<HandoverOutcome> {
    const { carrier, guard } = this.options;
    try {
      if (shipment.attempts > 0) {
        const found = await guard(() => carrier.find(shipment.id));
        if (found !== undefined) return { result: "shipped", carrier: carrier.name, ...found };
        if (shipment.cancel_wanted !== null) return { result: "absent" };
      }
      const answer = await guard(() =>
        carrier.ship({ shipment_id: shipment.id, lines: linesLeft(shipment) }),
      );
      return answer.result === "shipped" ? { carrier: carrier.name, ...answer } : answer;
    } catch (error) {
      const result = error instanceof NotTried ? "not_tried" : "unanswered";
      return { result, retry_in_ms: retryDelayMs(shipment.attempts, Math.random()) };
    }
  }
}

const shortestDelayMs = 1_000;
const longestDelayMs = 300_000;

/** Doubles from try to try; `chance`, from 0 to 1, spreads what failed together over the second half of the delay. */
export function retryDelayMs(attempts: number, chance: number): number {
  const ceiling = Math.min(longestDelayMs, shortestDelayMs * 2 ** Math.min(attempts, 20));
  return Math.round(ceiling * (0.5 + chance / 2));
}
