import type { BatchHandler } from "../../platform/batch/road.ts";
import type { Transaction } from "../../platform/batch/transaction.ts";
import type { EventRecord } from "../../platform/log/append.ts";
import type { GatewayStep, PaymentCommand, PaymentEvent, TakeOver } from "./contract.ts";
import { claim, type Desk, decide, type Payment, type PaymentRules, stepOf } from "./payment.ts";
import { lockOverdue, lockPayments, log, savePayments } from "./store.ts";

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
  readonly traceparent?: string;
  readonly cause?: string;
}

export interface PaymentReply {
  /** Whether there is such a payment. */
  readonly known: boolean;
  readonly events: readonly PaymentEvent[];
  readonly tasks: readonly Task[];
}

export type PaymentHandler = BatchHandler<PaymentCommand, PaymentReply>;

export interface PaymentDesk {
  readonly rules: PaymentRules;
  readonly gateway: string;
  readonly worker: string;
  /** How many more turns this process can take upon itself. */
  room(): number;
}

/** The road of the service, for events, answers of gateways and the sweep alike. */
export function paymentHandler(settings: PaymentDesk): PaymentHandler {
  return async (tx, commands) => {
    const { payments, overdue, mark } = await load(tx, commands, settings.gateway);
    const batch = new Batch(payments, settings, mark.now);
    const replies = commands.map((command) =>
      command.type === "TakeOver" ? batch.takeOver(overdue) : batch.settle(command),
    );
    savePayments(tx, ...batch.changes());
    log.append(tx, mark, batch.records);
    batch.handOut();
    return replies;
  };
}

/** The place in the log is asked for behind the locks, in the same round trip. */
async function load(tx: Transaction, commands: readonly PaymentCommand[], gateway: string) {
  const ids = commands.flatMap((command) => (command.type === "TakeOver" ? [] : [command.payment_id]));
  const sweep = commands.find((command) => command.type === "TakeOver");
  const [known, overdue, mark] = await Promise.all([
    ids.length === 0 ? [] : lockPayments(tx, [...new Set(ids)]),
    sweep === undefined ? [] : lockOverdue(tx, gateway, sweep),
    log.mark(tx),
  ]);
  return { payments: [...known, ...overdue], overdue, mark };
}

interface Draft extends PaymentReply {
  readonly tasks: Task[];
}

class Batch {
  readonly records: EventRecord[] = [];
  private readonly settings: PaymentDesk;
  private readonly now: Date;
  private readonly loaded: ReadonlyMap<string, Payment>;
  private readonly payments: Map<string, Payment>;
  private readonly claims = new Map<string, { reply: Draft; trace: Trace }>();
  private room: number;

  constructor(loaded: readonly Payment[], settings: PaymentDesk, now: Date) {
    this.settings = settings;
    this.now = now;
    this.loaded = new Map(loaded.map((payment) => [payment.id, payment]));
    this.payments = new Map(this.loaded);
    this.room = settings.room();
  }

  settle(command: Exclude<PaymentCommand, TakeOver>): PaymentReply {
    const before = this.payments.get(command.payment_id);
    const { payment, events } = decide(before, command, this.desk());
    const reply: Draft = { known: payment !== undefined, events, tasks: [] };
    if (payment !== undefined && payment !== before) {
      this.keep(payment, events, traceOf(command, before), reply);
    }
    return reply;
  }

  takeOver(overdue: readonly Payment[]): PaymentReply {
    const reply: Draft = { known: true, events: [], tasks: [] };
    for (const payment of overdue) {
      this.keep(claim(payment, this.desk()), [], traceOf({}, payment), reply);
    }
    return reply;
  }

  changes(): [created: Payment[], updated: Payment[]] {
    const changed = [...this.payments.values()].filter((payment) => this.loaded.get(payment.id) !== payment);
    return [
      changed.filter(({ id }) => !this.loaded.has(id)),
      changed.filter(({ id }) => this.loaded.has(id)),
    ];
  }

  /** Done last: what came later in the batch may have made a cancellation of a charge, or settled it. */
  handOut(): void {
    for (const [id, { reply, trace }] of this.claims) {
      const payment = this.payments.get(id)!;
      if (payment.worker !== null) reply.tasks.push(taskOf(payment, trace));
    }
  }

  private desk(): Desk {
    const { rules, gateway, worker } = this.settings;
    return { now: this.now, rules, gateway, worker: this.room > 0 ? worker : null };
  }

  private keep(decided: Payment, events: readonly PaymentEvent[], trace: Trace, reply: Draft): void {
    const payment = { ...decided, updated_at: this.now };
    const attemptsBefore = this.payments.get(payment.id)?.attempts ?? 0;
    this.payments.set(payment.id, payment);
    if (payment.worker !== null && payment.attempts > attemptsBefore) {
      this.room--;
      this.claims.set(payment.id, { reply, trace });
    }
    for (const { type, data } of events) this.records.push({ type, subject: payment.id, data, ...trace });
  }
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

function taskOf(payment: Payment, trace: Trace): Task {
  return {
    step: stepOf(payment),
    payment_id: payment.id,
    amount_minor: payment.amount_minor!,
    currency: payment.currency!,
    token: payment.token!,
    due_at: payment.due_at!,
    reference: payment.gateway_reference,
    attempt: payment.attempts,
    ...trace,
  };
}
