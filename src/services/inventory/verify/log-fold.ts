import type { LogBatch } from "../../../platform/log/read.ts";
import type { RecordedEvent, Reservation, StatedLine, StockRecord } from "../contract/index.ts";
import { evolveReservation, isOpen } from "../reservation.ts";
import { effectOf, keyOf, moved, openedRecord, stated } from "../stock.ts";

/** What comes of the log, and where its own words do not agree with that. */
export class LogFold {
  /** Up to there retention has dropped the log. */
  horizon = 0;
  events = 0;
  settled = 0;
  readonly stock = new Map<string, StockRecord>();
  /** Those that are open, and those that have ended since `takeClosed` was called last or will live again. */
  readonly reservations = new Map<string, Reservation>();
  private readonly moved = new Set<string>();
  readonly stockViolations: string[] = [];
  readonly reservationViolations: string[] = [];

  add({ at, position, events }: LogBatch): void {
    for (const record of events) {
      this.events++;
      const event = revive(record as unknown as RecordedEvent);
      this.moveStock(event, at, position);
      if ("reservation_id" in event.data) {
        const id = event.data.reservation_id;
        const next = evolveReservation(this.reservations.get(id), event as never, at, position);
        this.reservations.set(id, next);
        this.moved.add(id);
      }
    }
  }

  takeClosed(): string[] {
    const ids = [...this.moved].filter((id) => !isOpen(this.reservations.get(id)!));
    this.moved.clear();
    return ids;
  }

  private moveStock(event: RecordedEvent, at: Date, position: number): void {
    if (event.type === "StockOpened") {
      this.stock.set(keyOf(event.data), openedRecord(event.data, event.data.product_id, at));
    }
    const effect = effectOf(event.type);
    if (effect === undefined || !("lines" in event.data)) return;
    for (const line of event.data.lines) {
      const before = this.stock.get(keyOf(line));
      if (before === undefined) {
        this.stockViolations.push(
          `position ${position}: ${event.type} moves ${line.sku}, which was never opened`,
        );
        continue;
      }
      const after = moved(before, line.quantity, effect, at);
      this.stock.set(keyOf(line), after);
      if (!isAsStated(line, after)) {
        this.stockViolations.push(`position ${position}: ${event.type} states ${JSON.stringify(line)}`);
      }
    }
  }
}

/** Whether the SKU was listed is left out: what was kept of a dropped log knows only whether it is now. */
function isAsStated({ listed: _, ...line }: StatedLine, after: StockRecord): boolean {
  return JSON.stringify(stated(line, { ...after, listed: true })) === JSON.stringify(line);
}

function revive(event: RecordedEvent): RecordedEvent {
  const data = event.data as { expires_at?: string | null };
  if (typeof data.expires_at !== "string") return event;
  return { ...event, data: { ...data, expires_at: new Date(data.expires_at) } } as unknown as RecordedEvent;
}
