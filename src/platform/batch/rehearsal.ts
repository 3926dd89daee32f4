import type { Pool } from "../postgres/pool.ts";
import type { BatchHandler } from "./road.ts";
import { transact } from "./transaction.ts";

/** Runs a handler of the road without what it writes: the answers are the real ones, and nothing comes of them. */
export function rehearse<Command, Reply>(
  pool: Pool,
  handle: BatchHandler<Command, Reply>,
  commands: readonly Command[],
): Promise<Reply[]> {
  return transact(pool, (tx) =>
    handle(
      { read: (statement, values) => tx.read(statement, values), write() {}, proveBy() {}, appended() {} },
      commands,
    ),
  );
}
