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

/** In one statement: a text has an end, and a message may be long. */
const charactersAtOnce = 50_000_000;

/** Among the events that have failed: the bus tries them again, by itself or when it is told to. */
export function keepLetters(tx: Transaction, letters: readonly Letter[]): void {
  // In the order of the unique key: of two processes with the same new ones, neither waits for the other while it is
  // waited for.
  const rows = letters.map(rowOf).sort((a, b) => (a.id < b.id ? -1 : 1));
  for (let from = 0, to = 0; from < rows.length; from = to) {
    for (let characters = 0; to < rows.length && characters < charactersAtOnce; to++) {
      characters += rows[to]!.event.length;
    }
    const some = rows.slice(from, to);
    tx.write(insertLetters, columns(some, ["id", "topic", "key", "event", "status", "error"]));
  }
}

function rowOf({ event, error, status }: Letter) {
  const { id, topic, key } = event;
  // PostgreSQL keeps every character but this one.
  return { id, topic, key, event: JSON.stringify(event), status, error: error.replaceAll("\0", "\uFFFD") };
}

const insertLetters: Statement = {
  name: "inventory_keep_letters",
  text: `insert into inventory.dead_letters (event_id, topic, key, event, status, error, next_try_at)
         select v.*, case when v.status = 'retrying' then clock_timestamp() + interval '1 second' end
         from unnest($1::text[], $2::text[], $3::text[], $4::json[], $5::text[], $6::text[])
           as v (event_id, topic, key, event, status, error)
         order by v.event_id collate "C" on conflict (event_id) do nothing`,
};
