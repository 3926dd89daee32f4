import type { BatchHandler } from "../../platform/batch/road.ts";
import type { Transaction } from "../../platform/batch/transaction.ts";
import type { EventRecord, LogMark } from "../../platform/log/append.ts";
import { type BackoffLimits, backoff } from "../../platform/outside/backoff.ts";
import { putOff } from "./answers.ts";
import type { GatewayStep, PaymentCommand, PaymentEvent, TakeOver } from "./contract.ts";
import { decide } from "./decide.ts";
import { claim, type Desk, type Payment, type PaymentRules, stepOf, waiting } from "./payment.ts";
import {
  dropLeases,
  endLeases,
  lockAbandoned,
  lockOverdue,
  lockPayments,
  log,
  saveLease,
  savePayments,
} from "./store.ts";

/** A turn at the gateway, to be taken once the batch that gave it is committed. */
export interface Task {
  readonly step: GatewayStep;
  readonly payment_id: string;
  readonly amount_minor: number;
  readonly currency: string;
  readonly token: string;
  readonly due_at: Date;
  /** The gateway's own name for the charge, once it is known. */
  readonly reference: string | null;
  readonly attempt: number;
  readonly failures: number;
  readonly lease: Lease;
  readonly traceparent?: string;
  readonly cause?: string;
}

/** The turns that one batch has given away. Kept until all of them are over, or the time is up. */
export interface Lease {
  readonly position: number;
  /** How many of them are not over. */
  turns: number;
}

export interface PaymentReply {
  /** Whether there is such a payment. */
  readonly known: boolean;
  readonly events: readonly PaymentEvent[];
  readonly tasks: readonly Task[];
  /** Whether something is due that is nobody's turn. */
  readonly more: boolean;
}

export type PaymentHandler = BatchHandler<PaymentCommand, PaymentReply>;

export interface PaymentDesk {
  readonly rules: PaymentRules;
  readonly retry: BackoffLimits;
  readonly gateway: string;
  readonly worker: string;
  /** How many more turns this process can take upon itself. */
  room(): number;
  /** Whether nobody is to go to the gateway for now. */
  isLeftAlone(): boolean;
}

/** The road of the service, for events, answers of gateways and the sweep alike. */
export function paymentHandler(settings: PaymentDesk): PaymentHandler {
  return async (tx, commands) => {
    const sweep = commands.find((command) => command.type === "TakeOver");
    const { payments, abandoned, overdue, mark } = await load(tx, commands, sweep, settings.gateway);
    const batch = new Batch(payments, settings, mark);
    batch.free(abandoned);
    const replies = commands.map((command) =>
      command.type === "TakeOver" ? batch.takeOver(overdue, command) : batch.settle(command),
    );
    const leased = batch.handOut();
    savePayments(tx, ...batch.changes());
    if (leased.length > 0) saveLease(tx, mark, leased, settings.rules.lease_ms);
    if (sweep !== undefined && sweep.finished.length > 0) dropLeases(tx, sweep.finished);
    log.append(tx, mark, batch.records);
    return replies;
  };
}

/** The place in the log is asked for behind the locks, in the same round trip. */
async function load(
  tx: Transaction,
  commands: readonly PaymentCommand[],
  sweep: TakeOver | undefined,
  gateway: string,
) {
  const ids = commands.flatMap((command) => (command.type === "TakeOver" ? [] : [command.payment_id]));
  // These locks are waited for, so they are taken in the order of ids, and before the others.
  const left = sweep === undefined ? [] : await endLeases(tx);
  const [known, abandoned, overdue, mark] = await Promise.all([
    ids.length === 0 ? [] : lockPayments(tx, [...new Set(ids)]),
    left.length === 0 ? [] : lockAbandoned(tx, left),
    sweep === undefined ? [] : lockOverdue(tx, gateway, sweep),
    log.mark(tx),
  ]);
  return { payments: [...known, ...abandoned, ...overdue], abandoned, overdue, mark };
}

interface Draft extends PaymentReply {
  readonly events: PaymentEvent[];
  readonly tasks: Task[];
  more: boolean;
}

class Batch {
  readonly records: EventRecord[] = [];
  private readonly settings: PaymentDesk;
  private readonly mark: LogMark;
  private readonly loaded: ReadonlyMap<string, Payment>;
  private readonly payments: Map<string, Payment>;
  private readonly claims = new Map<string, { reply: Draft; trace: Trace }>();
  private room: number;

  constructor(loaded: readonly Payment[], settings: PaymentDesk, mark: LogMark) {
    this.settings = settings;
    this.mark = mark;
    this.loaded = new Map(loaded.map((payment) => [payment.id, payment]));
    this.payments = new Map(this.loaded);
    this.room = settings.room();
  }

  settle(command: Exclude<PaymentCommand, TakeOver>): PaymentReply {
    const before = this.payments.get(command.payment_id);
    const { payment, events } = decide(before, command, this.desk());
    const reply = draft({ known: payment !== undefined });
    if (payment !== undefined && payment !== before) {
      this.keep(payment, events, traceOf(command, before), reply);
    }
    return reply;
  }

  /** Their workers have not said in time what came of their turns. */
  free(abandoned: readonly Payment[]): void {
    for (const payment of abandoned) {
      this.keep(waiting(payment, this.mark.now), [], traceOf({}, payment), draft({}));
    }
  }

  takeOver(overdue: readonly Payment[], { limit }: TakeOver): PaymentReply {
    const { retry, isLeftAlone } = this.settings;
    const reply = draft({ more: overdue.length === limit && limit > 0 });
    const isAlone = isLeftAlone();
    for (const payment of overdue) {
      if (isAlone) {
        const { payment: later, events } = putOff(payment, backoff(payment.failures + 1, retry), this.desk());
        this.keep(later, events, traceOf({}, payment), reply);
      } else if (this.room > 0) {
        this.keep(claim(payment, this.desk()), [], traceOf({}, payment), reply);
      } else {
        reply.more = true;
      }
    }
    return reply;
  }

  changes(): [created: Payment[], updated: Payment[]] {
    const created: Payment[] = [];
    const updated: Payment[] = [];
    for (const payment of this.payments.values()) {
      const before = this.loaded.get(payment.id);
      if (before === undefined) created.push(payment);
      else if (before !== payment) updated.push(payment);
    }
    return [created, updated];
  }

  /** Done last: what came later in the batch may have made a cancellation of a charge, or settled it. */
  handOut(): string[] {
    const given = [...this.claims].filter(([id]) => this.payments.get(id)!.worker !== null);
    const lease: Lease = { position: this.mark.position, turns: given.length };
    for (const [id, { reply, trace }] of given) {
      reply.tasks.push(taskOf(this.payments.get(id)!, lease, trace));
    }
    return given.map(([id]) => id);
  }

  private desk(): Desk {
    const { rules, gateway, worker } = this.settings;
    return { now: this.mark.now, rules, gateway, worker: this.room > 0 ? worker : null };
  }

  private keep(decided: Payment, events: readonly PaymentEvent[], trace: Trace, reply: Draft): void {
    const attemptsBefore = this.payments.get(decided.id)?.attempts ?? 0;
    // What waits has to remember for whom; of a turn the task tells, and that is one write less for most.
    const origin =
      decided.next_try_at === null
        ? {}
        : { traceparent: trace.traceparent ?? null, cause: trace.cause ?? null };
    const payment = { ...decided, ...origin, updated_at: this.mark.now };
    if (payment.next_try_at?.getTime() === this.mark.now.getTime()) reply.more = true;
    this.payments.set(payment.id, payment);
    if (payment.worker !== null && payment.attempts > attemptsBefore) {
      this.room--;
      this.claims.set(payment.id, { reply, trace });
    }
    for (const event of events) {
      reply.events.push(event);
      this.records.push({ type: event.type, subject: payment.id, data: event.data, ...trace });
    }
  }
}

function draft({ known = true, more = false }): Draft {
  return { known, events: [], tasks: [], more };
}

interface Trace {
  readonly traceparent?: string;
  readonly cause?: string;
}

/** What a command brings, or else what the payment remembers of the one that it waits for. */
function traceOf(command: Trace, payment: Payment | undefined): Trace {
  const traceparent = command.traceparent ?? payment?.traceparent ?? undefined;
  const cause = command.cause ?? payment?.cause ?? undefined;
  return { ...(traceparent !== undefined && { traceparent }), ...(cause !== undefined && { cause }) };
}

function taskOf(payment: Payment, lease: Lease, trace: Trace): Task {
  return {
    step: stepOf(payment),
    payment_id: payment.id,
    amount_minor: payment.amount_minor!,
    currency: payment.currency!,
    token: payment.token!,
    due_at: payment.due_at!,
    reference: payment.gateway_reference,
    attempt: payment.attempts,
    failures: payment.failures,
    lease,
    ...trace,
  };
}
