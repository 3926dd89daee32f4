import type { PoolClient, QueryConfig, QueryResult } from "pg";
import { parameters } from "../postgres/array.ts";
import { isConnectionLoss, isTransient, schemaOfFullLog } from "../postgres/errors.ts";
import type { Pool } from "../postgres/pool.ts";
import type { Reader, Statement } from "../postgres/statement.ts";

export interface Transaction extends Reader {
  /** Sent at once and not waited for: all writes and the commit travel together. */
  write(statement: Statement, values: unknown[]): void;
  /** A read that finds a row exactly if this transaction, whose id in PostgreSQL is `tx`, has been committed. */
  proveBy(tx: string, statement: Statement, values: unknown[]): void;
  /** The schema's log has got an entry at this position: who follows it is told after the commit. */
  appended(schema: string, position: number): void;
}

/** What a pool emits after a commit that appended to logs: how far each of them reaches now. */
export const appendedEvent = "appended";
export type Appended = ReadonlyMap<string, number>;

/** What a pool emits, with the schema, when a transaction failed because the log had no room. */
export const logFullEvent = "log full";

/**
 * Runs `work` in one transaction on one connection and returns what it returned, once that is durable.
 * Throws when nothing was changed. The one case in between, a connection that broke before the answer to COMMIT
 * came, is cleared up here: the caller learns the truth, never "maybe".
 */
export async function transact<T>(pool: Pool, work: (tx: Transaction) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  let reusable = true;
  try {
    const tx = new OpenTransaction(client);
    const result = await work(tx);
    await tx.commit(pool);
    if (tx.appendedTo.size > 0) pool.emit(appendedEvent, tx.appendedTo satisfies Appended);
    return result;
  } catch (error) {
    const fullLog = schemaOfFullLog(error);
    if (fullLog !== undefined) pool.emit(logFullEvent, fullLog);
    reusable = !isConnectionLoss(error) && (await rollback(client));
    throw error;
  } finally {
    client.release(!reusable);
  }
}

async function rollback(client: PoolClient): Promise<boolean> {
  try {
    await client.query("rollback");
    return true;
  } catch {
    return false; // the connection is closed instead, which rolls back as well
  }
}

interface Proof {
  readonly tx: string;
  readonly statement: Statement;
  readonly values: unknown[];
}

class OpenTransaction implements Transaction {
  readonly appendedTo = new Map<string, number>();
  private readonly client: PoolClient;
  private readonly sent: Promise<QueryResult>[] = [];
  private proof: Proof | undefined;

  constructor(client: PoolClient) {
    this.client = client;
    this.send("begin");
  }

  async read<Row>(statement: Statement, values: unknown[] = []): Promise<Row[]> {
    const { rows } = await this.client.query({ ...statement, values: parameters(values) });
    return rows as Row[];
  }

  write(statement: Statement, values: unknown[]): void {
    this.send({ ...statement, values: parameters(values) });
  }

  proveBy(tx: string, statement: Statement, values: unknown[]): void {
    this.proof = { tx, statement, values };
  }

  appended(schema: string, position: number): void {
    this.appendedTo.set(schema, position);
  }

  async commit(pool: Pool): Promise<void> {
    const committed = this.send("commit");
    try {
      await Promise.all(this.sent);
      // After a failed statement PostgreSQL answers COMMIT with ROLLBACK, and the driver does not call that an error.
      const { command } = await committed;
      if (command !== "COMMIT") throw new Error(`the transaction ended with ${command}`);
    } catch (error) {
      if (!isConnectionLoss(error) || this.proof === undefined) throw error;
      if (!(await this.isProven(pool, this.proof))) throw error;
    }
  }

  private send(query: string | QueryConfig): Promise<QueryResult> {
    const answer = this.client.query(query);
    answer.catch(() => {}); // commit() looks at it; until then it is not unhandled
    this.sent.push(answer);
    return answer;
  }

  /** Waits until the database can be asked and the lost backend is gone, for only then is the answer final. */
  private async isProven(pool: Pool, proof: Proof): Promise<boolean> {
    for (let attempt = 0; ; attempt++) {
      try {
        const { rows } = await pool.query({ ...stillRunning, values: [proof.tx] });
        if (rows.length === 0) {
          const found = await pool.query({ ...proof.statement, values: proof.values });
          return found.rows.length > 0;
        }
      } catch (error) {
        if (!isTransient(error)) throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, Math.min(1_000, 20 * 2 ** attempt)));
    }
  }
}

// Every running transaction holds the lock of its own id. (A snapshot does not know the newest ones that still run: its
// xmax is behind the last that has ended.) After a crash the same id may be given out again, so this tells when to look,
// not what to believe.
const stillRunning: Statement = {
  name: "transaction_still_running",
  text: `select 1 from pg_locks
         where locktype = 'transactionid' and transactionid = $1::xid8::xid and mode = 'ExclusiveLock' and granted`,
};
