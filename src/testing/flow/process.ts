import type { Pool } from "../../platform/postgres/pool.ts";

/** What becomes of a process: it dies, or it hangs and goes on later, when others have taken over its work. */
export type Fate = "dies" | "hangs";

class Killed extends Error {
  constructor() {
    super("this process was killed");
  }
}

/**
 * A process as its services know it. Everything they do goes through the pool, so whoever stops that between two
 * transactions stops the process there.
 */
export class Process {
  readonly pool: Pool;
  state: "runs" | "hangs" | "dead" = "runs";
  private left = Number.POSITIVE_INFINITY;
  private fate: Fate = "dies";
  private isPaused = false;
  private waiting: (() => void)[] = [];

  constructor(real: Pool) {
    this.pool = Object.create(real, {
      connect: {
        value: async () => {
          await this.begin();
          return real.connect();
        },
      },
      query: {
        value: async (...query: unknown[]) => {
          await this.goOn();
          return real.query(...(query as Parameters<Pool["query"]>));
        },
      },
    }) as Pool;
  }

  /** After so many more transactions. */
  doom(transactions: number, fate: Fate): void {
    this.left = transactions;
    this.fate = fate;
  }

  /** What it begins by itself meanwhile, because some time is over, happens afterwards. */
  async paused<Result>(work: () => Promise<Result>): Promise<Result> {
    this.isPaused = true;
    try {
      return await work();
    } finally {
      this.isPaused = false;
      this.letGo();
    }
  }

  kill(): void {
    this.state = "dead";
    this.letGo();
  }

  wakeUp(): void {
    if (this.state === "hangs") this.state = "runs";
    this.left = Number.POSITIVE_INFINITY;
    this.letGo();
  }

  private async begin(): Promise<void> {
    if (this.state === "runs" && this.left === 0) this.state = this.fate === "dies" ? "dead" : "hangs";
    this.left--;
    await this.goOn();
  }

  private async goOn(): Promise<void> {
    while (this.state === "hangs" || this.isPaused)
      await new Promise<void>((resolve) => this.waiting.push(resolve));
    if (this.state === "dead") throw new Killed();
  }

  private letGo(): void {
    for (const resolve of this.waiting.splice(0)) resolve();
  }
}

const quietTurns = 5;

/** Until no transaction is under way, and none follows from the ones before. */
export async function quiet(pool: Pool): Promise<void> {
  for (let turns = 0; turns < quietTurns; turns++) {
    await new Promise((resolve) => setImmediate(resolve));
    if (pool.idleCount < pool.totalCount || pool.waitingCount > 0) turns = -1;
  }
}
