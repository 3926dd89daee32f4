import type { Transaction } from "../../../platform/batch/transaction.ts";
import type { BusEvent } from "../../../platform/bus/port.ts";
import type { Statement } from "../../../platform/postgres/statement.ts";
import { columns } from "./schema.ts";

/** A message that could not be carried out. */
export interface Letter {
  readonly event: BusEvent;
  readonly error: string;
  /** `retrying`: what stands in its way may pass. */
  readonly status: "retrying" | "dead";
}

/** Among the events that have failed: the bus tries them again, by itself or when it is told to. */
export function keepLetters(tx: Transaction, letters: readonly Letter[]): void {
  tx.write(insertLetters, [
    letters.map(({ event }) => event.id),
    letters.map(({ event }) => event.topic),
    letters.map(({ event }) => event.key),
    letters.map(({ event }) => JSON.stringify(event)),
    ...columns(letters, ["status", "error"]),
  ]);
}

const insertLetters: Statement = {
  name: "inventory_keep_letters",
  // In the order of the unique key: of two processes with the same new ones, neither waits for the other while it is
  // waited for.
  text: `insert into inventory.dead_letters (event_id, topic, key, event, status, error, next_try_at)
         select v.*, case when v.status = 'retrying' then clock_timestamp() + interval '1 second' end
         from unnest($1::text[], $2::text[], $3::text[], $4::json[], $5::text[], $6::text[])
           as v (event_id, topic, key, event, status, error)
         order by v.event_id collate "C" on conflict (event_id) do nothing`,
};
