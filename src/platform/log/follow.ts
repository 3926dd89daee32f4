import { type Transaction, transact } from "../batch/transaction.ts";
import type { Pool } from "../postgres/pool.ts";
import type { Statement } from "../postgres/statement.ts";
import { type LogBatch, readLog } from "./read.ts";

export interface FollowOptions {
  pool: Pool;
  /** The schema whose log is followed. */
  source: string;
  /** The schema that keeps the cursor. */
  follower: string;
  /** Carries out what the batches ask for, in the transaction that moves the cursor: done once, or not at all. */
  apply: (tx: Transaction, batches: LogBatch[]) => Promise<void>;
  onError: (error: unknown) => void;
}

const batchesPerTransaction = 10;
const pollMs = 500;

/** Follows another service's log. Woken by `wake`; looks by itself now and then, for writers in other processes. */
export class LogFollower {
  private readonly options: FollowOptions;
  private cursor = 0;
  private timer: NodeJS.Timeout | undefined;
  private running: Promise<void> | undefined;
  private wanted = false;
  private stopped = false;
  private failures = 0;

  constructor(options: FollowOptions) {
    this.options = options;
  }

  start(): void {
    this.wake();
  }

  wake(): void {
    this.wanted = true;
    if (!this.stopped) this.running ??= this.run();
  }

  /** Resolves once everything up to this position has been carried out, here or in another process. */
  async reached(position: number, timeoutMs = 2_000): Promise<boolean> {
    const giveUpAt = performance.now() + timeoutMs;
    while (this.cursor < position) {
      if (this.stopped || performance.now() > giveUpAt) return false;
      this.wake();
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    return true;
  }

  async stop(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.timer);
    await this.running;
  }

  private async run(): Promise<void> {
    clearTimeout(this.timer);
    while (this.wanted && !this.stopped) {
      this.wanted = false;
      try {
        while (!this.stopped && (await this.step()) === batchesPerTransaction);
        this.failures = 0;
      } catch (error) {
        this.failures++;
        this.options.onError(error);
      }
    }
    this.running = undefined;
    if (this.stopped) return;
    this.timer = setTimeout(() => this.wake(), pollMs * 2 ** Math.min(this.failures, 5));
    this.timer.unref();
  }

  /** The cursor's row lock makes sure that of several processes one follows at a time. */
  private async step(): Promise<number> {
    const { pool, source, follower, apply } = this.options;
    const statements = cursorStatements(follower);
    let next = this.cursor;
    const count = await transact(pool, async (tx) => {
      tx.write(statements.open, [source]);
      const [cursor] = await tx.read<{ position: number }>(statements.lock, [source]);
      const batches = await readLog(tx, source, cursor!.position, batchesPerTransaction);
      next = batches.at(-1)?.position ?? cursor!.position;
      if (batches.length === 0) return 0;
      await apply(tx, batches);
      tx.write(statements.move, [source, next]);
      return batches.length;
    });
    this.cursor = next;
    return count;
  }
}

function cursorStatements(schema: string): Record<"open" | "lock" | "move", Statement> {
  return {
    open: {
      name: `${schema}_cursor_open`,
      text: `insert into ${schema}.cursors (topic, position) values ($1, 0) on conflict do nothing`,
    },
    lock: {
      name: `${schema}_cursor_lock`,
      text: `select position from ${schema}.cursors where topic = $1 for update`,
    },
    move: {
      name: `${schema}_cursor_move`,
      text: `update ${schema}.cursors set position = $2 where topic = $1`,
    },
  };
}
