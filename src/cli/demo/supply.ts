import type { Invoice, InvoiceLine } from "./invoices.ts";

const weekMs = 7 * 86_400_000;
/** What is ordered in these weeks is there from the start; later weeks are delivered so long ahead. */
const weeksAhead = 4;
/** Buyers for shops guess well, and now and then too low. */
const foresight = 0.97;

/** How a shop that knows its half year would have stocked up: the deliveries of each week. */
export class Supply {
  private readonly weeks: Map<string, number>[] = [];
  private firstAt: number | undefined;

  weekOf(at: Date): number {
    this.firstAt ??= at.getTime();
    return Math.max(0, Math.floor((at.getTime() - this.firstAt) / weekMs));
  }

  /** Every order is shown to it once, in order of time. */
  expect({ kind, at, lines }: Invoice): void {
    if (kind === "return") return;
    const week = this.weekOf(at);
    while (this.weeks.length <= week) this.weeks.push(new Map());
    const demand = this.weeks[week]!;
    for (const { sku, quantity } of lines) demand.set(sku, (demand.get(sku) ?? 0) + quantity);
  }

  /** What is delivered as the week begins. */
  deliveryOf(week: number): InvoiceLine[] {
    const due =
      week === 0
        ? this.weeks.slice(0, weeksAhead)
        : this.weeks.slice(week + weeksAhead - 1, week + weeksAhead);
    const total = new Map<string, number>();
    for (const demand of due) {
      for (const [sku, quantity] of demand) total.set(sku, (total.get(sku) ?? 0) + quantity);
    }
    return [...total]
      .map(([sku, quantity]) => ({ sku, quantity: Math.floor(quantity * foresight) }))
      .filter(({ quantity }) => quantity > 0);
  }
}
