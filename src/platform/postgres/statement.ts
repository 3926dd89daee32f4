import { parameters } from "./array.ts";
import type { Pool } from "./pool.ts";

/** A statement is prepared once on each connection, under its name. */
export interface Statement {
  readonly name: string;
  readonly text: string;
}

/** Whatever answers a question: the pool, or one transaction. */
export interface Reader {
  read<Row>(statement: Statement, values?: unknown[]): Promise<Row[]>;
}

export function readerOf(pool: Pick<Pool, "query">): Reader {
  return {
    async read<Row>(statement: Statement, values: unknown[] = []) {
      const { rows } = await pool.query({ ...statement, values: parameters(values) });
      return rows as Row[];
    },
  };
}
