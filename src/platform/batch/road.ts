import { InfrastructureError } from "../errors.ts";
import { codeOf, isTransient, uniqueViolation } from "../postgres/errors.ts";
import type { Pool } from "../postgres/pool.ts";
import { orderIdOf } from "../telemetry/about.ts";
import { type StepDescription, type Tracer, untraced } from "../telemetry/tracer.ts";
import { type Letter, Mailbox } from "./mailbox.ts";
import { type Transaction, transact } from "./transaction.ts";

/** Carries out commands in their order, each seeing what the one before it did; answers them in the same order. */
export type BatchHandler<Command, Reply> = (
  tx: Transaction,
  commands: readonly Command[],
) => Promise<Reply[]>;

export interface RoadObserver<Command> {
  /** A batch was answered. */
  batch?(size: number, seconds: number): void;
  /** A transaction was rolled back; it is run again, whole or in halves. */
  rollback?(error: unknown): void;
  /** One command alone could not be carried out: no refusal, but a defect. It was answered 500. */
  poison?(command: Command, error: unknown): void;
}

export interface RoadOptions<Command, Reply> {
  pool: Pool;
  handle: BatchHandler<Command, Reply>;
  /** How much work a command is; a batch takes up to `maxWork` of it. */
  workOf?: (command: Command) => number;
  maxWork?: number;
  /** Commands that may wait; one more is answered 503. */
  maxWaiting: number;
  /** How long a batch is tried again while the database is away. */
  patienceMs?: number;
  /** Aborted when the process is to end: from then on a batch is tried again for a moment only. */
  stopping?: AbortSignal | undefined;
  observer?: RoadObserver<Command>;
  /** Shows each command of a trace as a step, named after the service and the command's type. */
  tracer?: Tracer;
  service?: string;
}

/** What a command may have for a trace. */
interface Traceable {
  readonly traceparent?: string;
  readonly type?: string;
}

const patienceMs = 20_000;
const lastPatienceMs = 2_000;

/**
 * The one road of a service: whatever arrived while the last batch was committed becomes the next batch.
 * Nobody waits on a timer, and a single command is a batch of one.
 */
export class Road<Command, Reply> {
  private readonly mailbox: Mailbox<Command, Reply>;
  private readonly options: RoadOptions<Command, Reply>;
  private closesAt = Number.POSITIVE_INFINITY;

  constructor(options: RoadOptions<Command, Reply>) {
    this.options = options;
    this.mailbox = new Mailbox({
      deliver: (letters) => this.carry(letters),
      workOf: options.workOf ?? (() => 1),
      maxWork: options.maxWork ?? 2_000,
      maxWaiting: options.maxWaiting,
    });
    options.stopping?.addEventListener("abort", () => {
      this.closesAt = performance.now() + lastPatienceMs;
    });
  }

  get waiting(): number {
    return this.mailbox.waiting;
  }

  submit(command: Command): Promise<Reply> {
    return this.mailbox.put(command);
  }

  /** Accepts nothing more and resolves when all that was accepted is answered. */
  drain(): Promise<void> {
    return this.mailbox.close();
  }

  private async carry(letters: Letter<Command, Reply>[]): Promise<void> {
    const started = performance.now();
    const { items: commands, end } = this.beginSteps(letters.map((letter) => letter.command));
    let replies: Reply[];
    try {
      replies = await this.settle(commands);
    } catch (error) {
      const transient = isTransient(error);
      // Of a batch that is halved, the halves have steps of their own.
      if (transient || letters.length === 1) end(error);
      return transient ? rejectAll(letters, unavailable(error)) : this.bisect(letters, error);
    }
    end();
    this.options.observer?.batch?.(letters.length, (performance.now() - started) / 1_000);
    letters.forEach((letter, i) => {
      letter.resolve(replies[i]!);
    });
  }

  private beginSteps(commands: readonly Command[]) {
    const { tracer = untraced, service } = this.options;
    return tracer.begin(commands as readonly (Command & Traceable)[], (command): StepDescription => {
      const name = `${service} ${command.type}`;
      const order_id = orderIdOf(command);
      return order_id === undefined ? { name } : { name, attributes: { order_id } };
    });
  }

  /** Runs the batch until it is committed, it is known to be impossible, or patience ends. */
  private async settle(commands: readonly Command[]): Promise<Reply[]> {
    const giveUpAt = performance.now() + (this.options.patienceMs ?? patienceMs);
    let collisions = 0;
    for (let attempt = 0; ; attempt++) {
      try {
        return await transact(this.options.pool, (tx) => this.options.handle(tx, commands));
      } catch (error) {
        this.options.observer?.rollback?.(error);
        const collided = codeOf(error) === uniqueViolation || error instanceof TryAgain;
        const isInTime = performance.now() < Math.min(giveUpAt, this.closesAt);
        const worthIt = collided ? ++collisions <= 5 : isTransient(error) && isInTime;
        if (!worthIt) throw error;
        await pause(attempt);
      }
    }
  }

  /** One bad command must not disturb the others: halve until it stands alone. */
  private async bisect(letters: Letter<Command, Reply>[], error: unknown): Promise<void> {
    const [first, ...others] = letters;
    if (others.length === 0) {
      // Overtaken again and again is bad luck, and no defect.
      if (error instanceof TryAgain) return first!.reject(unavailable(error));
      this.options.observer?.poison?.(first!.command, error);
      first!.reject(defect(error));
      return;
    }
    const middle = letters.length >> 1;
    await this.carry(letters.slice(0, middle));
    await this.carry(letters.slice(middle));
  }
}

/** What a handler throws when what it read was overtaken before it held the locks: the next try will see it. */
export class TryAgain extends Error {}

function pause(attempt: number): Promise<void> {
  const ceiling = Math.min(1_000, 5 * 2 ** attempt);
  return new Promise((resolve) => setTimeout(resolve, ceiling * (0.5 + Math.random() / 2)));
}

function rejectAll<Command, Reply>(letters: Letter<Command, Reply>[], error: InfrastructureError): void {
  for (const letter of letters) letter.reject(error);
}

function unavailable(cause: unknown): InfrastructureError {
  return new InfrastructureError(
    "platform.unavailable",
    "the database could not carry it out in time; nothing was changed",
    {
      retryable: true,
      retryAfterSeconds: 1,
      cause,
    },
  );
}

function defect(cause: unknown): InfrastructureError {
  return new InfrastructureError(
    "platform.internal",
    "the command could not be carried out; nothing was changed",
    {
      retryable: false,
      cause,
    },
  );
}
