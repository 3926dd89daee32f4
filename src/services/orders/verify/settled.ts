import { withCommas } from "../../../kernel/number.ts";
import type { Reader } from "../../../platform/postgres/statement.ts";
import type { Finding } from "../../../platform/service.ts";
import type { Order } from "../contract.ts";
import { findRows, findStories } from "../queries.ts";
import { parseOrder } from "../store.ts";
import { droppedBefore, findLogs, type LoggedBatch, readLogs } from "./logs.ts";
import { count, doubled, newTally, owed, type TalliedEvent, type Tally } from "./tally.ts";

const sources = ["orders", "inventory", "payments", "fulfillment"];
/** How long the consequences of an end may take: a refund waits for a gateway, a consumer for its turn. */
const toleranceMs = 15 * 60_000;
/** An order that ended well is forgotten when it has been quiet for so long. */
const quietMs = 60_000;
const restock = "restock:";

/** Promises 3 and 5, by what the services say themselves: from their logs, and from no table. */
export async function ordersAreSettled(
  database: Reader,
  elsewhere: readonly Reader[],
  now: Date,
  onProgress: (message: string) => void,
): Promise<Finding[]> {
  const logs = await findLogs([database, ...elsewhere], sources);
  const missing = sources.filter((source) => !logs.has(source));
  const ledger = new Ledger(database, await droppedBefore(logs));
  if (missing.length === 0) {
    for await (const batch of readLogs(logs)) {
      await ledger.add(batch);
      if (batch.schema === "orders")
        onProgress(`${withCommas(ledger.created)} orders followed through all services`);
    }
  }
  const { overdue, underWay } = ledger.close(now);
  const skipped = missing.length > 0;
  const looked_at = skipped
    ? `nothing: give with --also where these services have their tables: ${missing.join(", ")}`
    : `${withCommas(ledger.created)} orders in ${withCommas(ledger.events)} events, of which ${withCommas(underWay)} are open or being settled`;
  return [
    {
      check:
        "promise 3: completed means one charge, one shipment, one reduction; any other end, nothing held or kept",
      looked_at,
      skipped,
      violations: [...ledger.broken, ...overdue],
    },
    {
      check: "promise 5: nothing that was delivered twice had its effect twice",
      looked_at,
      skipped,
      violations: ledger.doubled,
    },
  ];
}

/** Holds the open orders and those that are not settled; whatever ended well is forgotten. */
class Ledger {
  created = 0;
  events = 0;
  readonly broken: string[] = [];
  readonly doubled: string[] = [];

  private readonly database: Reader;
  /** Older orders are passed over: a part of what happened to them is not in the logs any more. */
  private readonly horizon: Date;
  private readonly tallies = new Map<string, Tally>();
  private readonly reservations = new Map<string, string>();
  private sweptAt = 0;

  constructor(database: Reader, horizon: Date) {
    this.database = database;
    this.horizon = horizon;
  }

  async add(batch: LoggedBatch): Promise<void> {
    const events = batch.events.map((event, index) => ({
      ...event,
      id: `${batch.schema}-${batch.position}-${index}`,
      at: batch.at,
      order_id: this.orderOf(event.type, event.data),
    }));
    const unknown = events
      .filter(
        ({ type, order_id }) =>
          type !== "OrderCreated" && order_id !== undefined && !this.tallies.has(order_id),
      )
      .map(({ order_id }) => order_id!);
    const created = new Set(
      events.filter(({ type }) => type === "OrderCreated").map(({ order_id }) => order_id),
    );
    await this.lookAgain(unknown.filter((id) => !created.has(id)));
    for (const event of events) this.count(event, event.order_id);
    if (batch.at.getTime() - this.sweptAt > quietMs) this.forget(batch.at);
  }

  private orderOf(type: string, data: object): string | undefined {
    const { order_id, adjustment_id } = data as { order_id?: string | null; adjustment_id?: string | null };
    if (type === "InventoryAdjusted" && adjustment_id?.startsWith(restock)) {
      return this.reservations.get(adjustment_id.slice(restock.length));
    }
    return order_id ?? undefined;
  }

  private count(event: TalliedEvent, order_id: string | undefined): void {
    this.events++;
    if (order_id === undefined) return;
    let tally = this.tallies.get(order_id);
    if (event.type === "OrderCreated" && event.at > this.horizon) {
      this.created++;
      tally ??= newTally(order_id, event.at);
      this.tallies.set(order_id, tally);
    }
    // Too old, or no order of ours: somebody who reserves by hand gave it this name.
    if (tally === undefined) return;
    if (event.type === "InventoryAdjusted") tally.restocked = true;
    count(tally, event);
    if (event.type === "OrderCreated") {
      this.reservations.set(tally.reservation_id!, order_id);
      if (tally.wrong_total !== undefined) {
        this.broken.push(`the lines of ${order_id} come to ${tally.wrong_total}`);
      }
    }
  }

  /** What is said of an order that was forgotten as settled is judged together with all that happened to it before. */
  private async lookAgain(ids: readonly string[]): Promise<void> {
    if (ids.length === 0) return;
    const found = await findRows(this.database, [...new Set(ids)]);
    const rows = found.filter(({ created_at }) => created_at > this.horizon);
    const stories = await findStories(this.database, rows);
    for (const row of rows)
      this.tallies.set(row.id, this.tallyOf(parseOrder(row), stories.get(row.id) ?? []));
  }

  private tallyOf(order: Order, story: readonly { event: TalliedEvent }[]): Tally {
    const tally = newTally(order.id, order.created_at, new Set());
    tally.reservation_id = order.reservation_id;
    tally.restocked = true; // or it would not have been settled
    for (const { event } of story) count(tally, event);
    return tally;
  }

  private forget(at: Date): void {
    this.sweptAt = at.getTime();
    for (const tally of this.tallies.values()) {
      const isQuiet = at.getTime() - tally.last_at.getTime() > quietMs;
      if (!isQuiet || tally.ended_as === undefined || owed(tally).length > 0) continue;
      this.judge(tally);
      this.drop(tally);
    }
  }

  private judge(tally: Tally): void {
    for (const complaint of doubled(tally)) {
      if (!this.doubled.includes(complaint)) this.doubled.push(complaint);
    }
  }

  private drop({ order_id, reservation_id }: Tally): void {
    this.tallies.delete(order_id);
    if (reservation_id !== undefined) this.reservations.delete(reservation_id);
  }

  close(now: Date): { overdue: string[]; underWay: number } {
    const overdue: string[] = [];
    let underWay = 0;
    for (const tally of this.tallies.values()) {
      this.judge(tally);
      const complaints = owed(tally);
      const isYoung = now.getTime() - tally.last_at.getTime() < toleranceMs;
      if (tally.ended_as === undefined || (complaints.length > 0 && isYoung)) underWay++;
      else overdue.push(...complaints);
    }
    return { overdue, underWay };
  }
}
