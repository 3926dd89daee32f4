import { setAside } from "../../../../platform/batch/dead-letters.ts";
import { type BatchHandler, Road } from "../../../../platform/batch/road.ts";
import type { Statement } from "../../../../platform/postgres/statement.ts";
import type { ServiceOptions } from "../../../../platform/service.ts";
import { type BankCommand, book, type Entry } from "./books.ts";

export interface BankReply {
  readonly entry: Entry | undefined;
  /** Whether this very command has opened it. */
  readonly opened: boolean;
}

export interface BankOptions extends Pick<ServiceOptions, "pool" | "logger" | "maxWaiting" | "stopping"> {
  readonly schema: string;
}

export type Bank = Road<BankCommand, BankReply>;

/** A bank with a road of its own: thousands of charges a second are a few commits. */
export function openBank({ pool, schema, logger, maxWaiting, stopping }: BankOptions): Bank {
  return new Road({
    pool,
    handle,
    maxWaiting,
    stopping,
    observer: { poison: setAside(pool, schema, logger) },
  });
}

const handle: BatchHandler<BankCommand, BankReply> = async (tx, commands) => {
  const ids = [...new Set(commands.map(({ charge }) => charge.payment_id))];
  const [found, [clock]] = await Promise.all([
    tx.read<Entry>(lockEntries, [ids]),
    tx.read<{ now: Date }>(readClock),
  ]);
  const before = new Map(found.map((entry) => [entry.id, entry]));
  const entries = new Map(before);
  const replies = commands.map((command): BankReply => {
    const id = command.charge.payment_id;
    const known = entries.get(id);
    const entry = book(known, command, clock!.now);
    if (entry !== undefined) entries.set(id, entry);
    return { entry, opened: known === undefined && entry !== undefined };
  });
  const written = [...entries.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
  const opened = written.filter(({ id }) => !before.has(id));
  const changed = written.filter((entry) => before.has(entry.id) && before.get(entry.id) !== entry);
  if (opened.length > 0) tx.write(insertEntries, arrays(opened));
  if (changed.length > 0) tx.write(updateEntries, arrays(changed));
  return replies;
};

const columns = {
  id: "text",
  status: "text",
  amount_minor: "bigint",
  currency: "text",
  token: "text",
  reference: "text",
  detail: "text",
  settles_at: "timestamptz",
  refunded_minor: "bigint",
  refund_reference: "text",
  created_at: "timestamptz",
} as const satisfies Record<keyof Entry, string>;

const names = Object.keys(columns) as (keyof Entry)[];
const list = names.join(", ");
const unnested = `unnest(${names.map((name, i) => `$${i + 1}::${columns[name]}[]`).join(", ")})`;

function arrays(entries: readonly Entry[]): unknown[][] {
  return names.map((name) => entries.map((entry) => entry[name]));
}

const readClock: Statement = {
  name: "simulated_bank_clock",
  text: "select date_trunc('milliseconds', clock_timestamp()) as now",
};
const lockEntries: Statement = {
  name: "simulated_bank_lock",
  text: `select ${list} from payments.simulated_bank where id = any($1::text[]) order by id for update`,
};
const insertEntries: Statement = {
  name: "simulated_bank_insert",
  text: `insert into payments.simulated_bank (${list}) select * from ${unnested}`,
};
const updateEntries: Statement = {
  name: "simulated_bank_update",
  text: `update payments.simulated_bank b
         set status = v.status, refunded_minor = v.refunded_minor, refund_reference = v.refund_reference
         from ${unnested} as v (${list}) where b.id = v.id`,
};
