import type { Logger } from "../../../platform/telemetry/logger.ts";
import type { Tracer } from "../../../platform/telemetry/tracer.ts";
import type { ChargeOutcome, PaymentCommand, RefundOutcome, Turn, Unreachable } from "../contract.ts";
import { type Gateway, GatewayUnreachable } from "../gateways/port.ts";
import type { Task } from "../handle.ts";
import type { PaymentMetrics } from "../metrics.ts";
import { type Breaker, isRefusedByBreaker } from "./breaker.ts";

export interface WorkerOptions {
  /** Of this process, and of no other at any time. */
  readonly name: string;
  readonly gateway: Gateway;
  readonly breaker: Breaker;
  /** Calls at once. */
  readonly concurrency: number;
  readonly leaseMs: number;
  readonly metrics: PaymentMetrics;
  readonly tracer: Tracer;
  readonly logger: Logger;
  /** Puts on the road what came of a turn. */
  submit(command: PaymentCommand): Promise<unknown>;
}

interface Waiting {
  readonly task: Task;
  readonly since: number;
}

/** Turns that are taken upon itself for each call at once: what is waiting behind it is begun in time. */
const depth = 10;
/** How long a stop waits for the answers of the gateway. */
const graceMs = 5_000;

/**
 * Takes the turns at the gateway that committed batches have given to this process. It holds nothing that could not be
 * lost: a turn whose outcome is not recorded is taken over when its lease ends, and the gateway is asked what became of
 * it.
 */
export class ChargeWorker {
  private readonly options: WorkerOptions;
  private queue: Waiting[] = [];
  private begun = 0; // turns before this index are under way already
  private readonly running = new Set<Promise<void>>();
  private stopped = false;

  constructor(options: WorkerOptions) {
    this.options = options;
  }

  /** How many more turns it may be given. */
  get room(): number {
    const { concurrency } = this.options;
    return this.stopped ? 0 : Math.max(0, concurrency * (depth + 1) - this.running.size - this.waiting);
  }

  get waiting(): number {
    return this.queue.length - this.begun;
  }

  take(tasks: readonly Task[]): void {
    if (tasks.length === 0) return;
    if (this.stopped) {
      for (const task of tasks) this.giveBack(task);
      return;
    }
    const since = performance.now();
    for (const task of tasks) this.queue.push({ task, since });
    this.begin();
  }

  async stop(): Promise<void> {
    this.stopped = true;
    for (const { task } of this.queue.splice(this.begun)) this.giveBack(task);
    let timer: NodeJS.Timeout | undefined;
    const grace = new Promise((resolve) => {
      timer = setTimeout(resolve, graceMs);
    });
    await Promise.race([Promise.all(this.running), grace]);
    clearTimeout(timer);
  }

  private begin(): void {
    const { concurrency, leaseMs } = this.options;
    while (this.running.size < concurrency && this.waiting > 0) {
      const { task, since } = this.queue[this.begun++]!;
      // Too little of its lease is left: it is taken up again by whoever sweeps next.
      if (performance.now() - since > leaseMs / 3) continue;
      const turn = this.perform(task).finally(() => {
        this.running.delete(turn);
        this.begin();
      });
      this.running.add(turn);
    }
    if (this.begun * 2 > this.queue.length) {
      this.queue = this.queue.slice(this.begun);
      this.begun = 0;
    }
  }

  private async perform(given: Task): Promise<void> {
    const { tracer } = this.options;
    const { items, end } = tracer.begin([given], ({ step, payment_id }) => ({
      name: `payments ${step}`,
      attributes: { order_id: payment_id },
    }));
    const task = items[0]!;
    const common = { ...idsOf(task), turn: this.turnOf(task), chance: Math.random() };
    if (task.step === "refund") {
      const outcome = await this.answered(() => this.refund(task));
      end();
      await this.record({ type: "RecordRefund", outcome, ...common });
    } else {
      const outcome = await this.answered(() => this.charge(task));
      end();
      await this.record({ type: "RecordCharge", outcome, ...common });
    }
  }

  private async charge(task: Task): Promise<ChargeOutcome> {
    const { gateway } = this.options;
    if (task.step === "cancel") return this.call("cancel", () => gateway.cancel(task));
    if (task.step === "ask") {
      const found = await this.call("find", () => gateway.find(task));
      if (found.status !== "unknown") return found;
    }
    return this.call("charge", () => gateway.charge(task));
  }

  private async refund(task: Task): Promise<RefundOutcome> {
    const { gateway, logger } = this.options;
    const outcome = await this.call("refund", () => gateway.refund(task, task.reference!));
    if (outcome.status === "refused") {
      logger.error({ payment_id: task.payment_id, detail: outcome.detail }, "the gateway refuses a refund");
    }
    return outcome;
  }

  private async call<Answer extends { status: string }>(
    name: string,
    work: () => Promise<Answer>,
  ): Promise<Answer> {
    const { breaker, metrics } = this.options;
    const started = performance.now();
    let outcome = "unreachable";
    try {
      const answer = await breaker.call(work);
      outcome = answer.status;
      return answer;
    } catch (error) {
      if (isRefusedByBreaker(error)) outcome = "refused_by_breaker";
      throw error;
    } finally {
      metrics.called(name, outcome, (performance.now() - started) / 1_000);
    }
  }

  private async answered<Outcome>(work: () => Promise<Outcome>): Promise<Outcome | Unreachable> {
    try {
      return await work();
    } catch (error) {
      const refused = isRefusedByBreaker(error);
      const isExpected = refused || error instanceof GatewayUnreachable || isTimeout(error);
      if (!isExpected) this.options.logger.error({ err: error }, "a call to the gateway failed unexpectedly");
      return {
        status: "unreachable",
        detail: refused ? "The gateway cannot be reached." : detailOf(error, isExpected),
        sent: !refused && !(error instanceof GatewayUnreachable && !error.sent),
      };
    }
  }

  private giveBack(task: Task): void {
    void this.record({ type: "GiveBack", ...idsOf(task), turn: this.turnOf(task) });
  }

  private async record(command: PaymentCommand): Promise<void> {
    try {
      await this.options.submit(command);
    } catch (error) {
      this.options.logger.warn(
        { err: error },
        "what came of a call to the gateway could not be kept; it will be asked again",
      );
    }
  }

  private turnOf({ attempt, step }: Task): Turn {
    return { worker: this.options.name, attempt, step };
  }
}

function idsOf({ payment_id, traceparent, cause }: Task) {
  return {
    payment_id,
    ...(traceparent !== undefined && { traceparent }),
    ...(cause !== undefined && { cause }),
  };
}

function isTimeout(error: unknown): boolean {
  return (error as { code?: unknown }).code === "ETIMEDOUT";
}

function detailOf(error: unknown, isExpected: boolean): string {
  if (isTimeout(error)) return "The gateway did not answer in time.";
  return isExpected ? (error as Error).message : "The gateway could not be used.";
}
