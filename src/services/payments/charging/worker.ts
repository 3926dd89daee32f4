import { InfrastructureError } from "../../../platform/errors.ts";
import { type BackoffLimits, backoff } from "../../../platform/outside/backoff.ts";
import { NotCalled, type Outside } from "../../../platform/outside/outside.ts";
import { about } from "../../../platform/telemetry/about.ts";
import type { Logger } from "../../../platform/telemetry/logger.ts";
import type { Tracer } from "../../../platform/telemetry/tracer.ts";
import type { ChargeOutcome, PaymentCommand, RefundOutcome, Unreachable } from "../contract.ts";
import { type Gateway, GatewayUnreachable } from "../gateways/port.ts";
import type { Task } from "../handle.ts";

export interface WorkerOptions {
  /** Of this process, and of no other at any time. */
  readonly name: string;
  readonly gateway: Gateway;
  readonly outside: Outside;
  /** Calls at once. */
  readonly concurrency: number;
  readonly leaseMs: number;
  readonly retry: BackoffLimits;
  readonly tracer: Tracer;
  readonly logger: Logger;
  /** Puts on the road what came of a turn. */
  submit(command: PaymentCommand): Promise<unknown>;
  /** There is room again for what had to be left. */
  onRoom(): void;
}

type Finding =
  | { readonly type: "RecordCharge"; readonly outcome: ChargeOutcome | Unreachable }
  | { readonly type: "RecordRefund"; readonly outcome: RefundOutcome | Unreachable }
  | { readonly type: "GiveBack" };

const notTaken: Finding = { type: "GiveBack" };

/** Turns that are taken upon itself for each call at once: what is waiting behind it is begun in time. */
const depth = 10;

/**
 * Takes the turns at the gateway that committed batches have given to this process. It holds nothing that could not be
 * lost: a turn whose outcome is not recorded is taken over when its lease ends, and the gateway is asked what became of
 * it.
 */
export class ChargeWorker {
  private readonly options: WorkerOptions;
  private underWay = 0;
  private readonly finished: number[] = [];
  private isWanted = false;
  private stopped = false;
  private onIdle: (() => void) | undefined;

  constructor(options: WorkerOptions) {
    this.options = options;
  }

  /** How many more turns it may be given. */
  get room(): number {
    const { outside } = this.options;
    if (this.stopped || outside.state === "open") return 0;
    // One call finds out whether the gateway answers again; any other would come back at once.
    if (outside.state === "half_open") return this.underWay === 0 ? 1 : 0;
    return Math.max(0, this.capacity - this.underWay);
  }

  /** More is due than could be given to it: it says when there is room. */
  want(): void {
    this.isWanted = true;
  }

  take(tasks: readonly Task[]): void {
    if (tasks.length === 0) return;
    const since = performance.now();
    for (const task of tasks) void this.perform(task, since);
  }

  /** Leases whose turns are over since this was asked last; what is never told ends by its time. */
  finishedLeases(): number[] {
    return this.finished.splice(0);
  }

  /** Finishes the calls that have begun, gives back the other turns, and waits until all that is recorded. */
  async stop(): Promise<void> {
    this.stopped = true;
    await this.options.outside.stop();
    if (this.underWay === 0) return;
    await new Promise<void>((resolve) => {
      this.onIdle = resolve;
    });
  }

  private get capacity(): number {
    return this.options.concurrency * (depth + 1);
  }

  private async perform(given: Task, since: number): Promise<void> {
    this.underWay++;
    const { items, end } = this.options.tracer.begin([given], ({ step, payment_id }) => ({
      name: `payments ${step}`,
      attributes: { order_id: payment_id },
    }));
    const task = items[0]!;
    const finding = await this.find(task, since, end);
    await this.record(task, finding);
    this.underWay--;
    if (this.underWay === 0) this.onIdle?.();
    // Half of it at a time, since each asking is a transaction.
    if (this.isWanted && this.room * 2 >= this.capacity) {
      this.isWanted = false;
      this.options.onRoom();
    }
  }

  private async find(task: Task, since: number, end: (error?: unknown) => void): Promise<Finding> {
    const { outside, leaseMs } = this.options;
    try {
      const finding = await outside.call(async () => {
        // Too little of its lease is left.
        if (performance.now() - since > leaseMs / 3) return notTaken;
        return this.takeTurn(task);
      });
      end();
      return finding;
    } catch (error) {
      end(error);
      if (error instanceof NotCalled && error.code === "outside.stopping") return notTaken;
      const outcome = this.unreachable(task, error);
      return task.step === "refund" ? { type: "RecordRefund", outcome } : { type: "RecordCharge", outcome };
    }
  }

  private async takeTurn(task: Task): Promise<Finding> {
    if (task.step === "refund") return { type: "RecordRefund", outcome: await this.refund(task) };
    return { type: "RecordCharge", outcome: await this.charge(task) };
  }

  private async charge(task: Task): Promise<ChargeOutcome> {
    const { gateway } = this.options;
    if (task.step === "cancel") return gateway.cancel(task);
    if (task.step === "ask") {
      const found = await gateway.find(task);
      if (found.status !== "unknown") return found;
    }
    return gateway.charge(task);
  }

  private async refund(task: Task): Promise<RefundOutcome> {
    const { gateway, logger } = this.options;
    const outcome = await gateway.refund(task, task.reference!);
    if (outcome.status === "refused") {
      logger.error({ ...about(task), detail: outcome.detail }, "the gateway refuses a refund");
    }
    return outcome;
  }

  private unreachable(task: Task, error: unknown): Unreachable {
    const isExpected =
      error instanceof GatewayUnreachable || (error instanceof InfrastructureError && error.retryable);
    const line = { err: error, ...about(task) };
    if (!isExpected) this.options.logger.error(line, "a call to the gateway failed unexpectedly");
    else if (!(error instanceof NotCalled)) {
      this.options.logger.warn(line, "the gateway did not answer; it will be asked again");
    }
    return { status: "unreachable", detail: detailOf(error), sent: wasSent(error) };
  }

  private async record(task: Task, finding: Finding): Promise<void> {
    const { name, retry, submit, logger } = this.options;
    const { payment_id, attempt, step, failures, traceparent, cause, lease } = task;
    const turn = { worker: name, attempt, step, retry_in_ms: backoff(failures + 1, retry) };
    try {
      await submit({
        ...finding,
        payment_id,
        turn,
        ...(traceparent !== undefined && { traceparent }),
        ...(cause !== undefined && { cause }),
      });
      if (--lease.turns === 0) this.finished.push(lease.position);
    } catch (error) {
      logger.warn(
        { err: error, ...about(task) },
        "what came of a call to the gateway could not be kept; it will be asked again",
      );
    }
  }
}

function wasSent(error: unknown): boolean {
  if (error instanceof NotCalled) return false;
  return error instanceof GatewayUnreachable ? error.sent : true;
}

/** For the customer, who knows nothing of what goes on here. */
function detailOf(error: unknown): string {
  if (error instanceof GatewayUnreachable) return error.message;
  if (error instanceof NotCalled) return "The gateway cannot be reached.";
  if (error instanceof InfrastructureError && error.code === "outside.timed_out") {
    return "The gateway did not answer in time.";
  }
  return "The gateway could not be used.";
}
