import type { Line, RecordedEvent, Reservation, ReservedLine } from "./contract.ts";
import { keyOf } from "./stock.ts";

// ---- the life of a hold --------------------------------------------------------------------------------------------

export function isOpen({ status }: Reservation): boolean {
  return status === "held" || status === "confirmed";
}

export function isOverdue({ status, expires_at }: Reservation, now: Date): boolean {
  return status === "held" && expires_at !== null && expires_at <= now;
}

/** What a line still holds. */
export function remaining(line: ReservedLine): number {
  return line.quantity - line.quantity_committed;
}

export function remainingLines(reservation: Reservation): Line[] {
  return reservation.lines
    .filter((line) => remaining(line) > 0)
    .map((line) => ({ store_id: line.store_id, sku: line.sku, quantity: remaining(line) }));
}

// ---- what events do to a reservation -------------------------------------------------------------------------------

type ReservationEvent = Extract<RecordedEvent, { data: { reservation_id: string } }>;

export function evolveReservation(
  before: Reservation | undefined,
  event: ReservationEvent,
  at: Date,
  position: number,
): Reservation {
  const base = before ?? unborn(event, at);
  return {
    ...base,
    ...changed(base, event),
    updated_at: at,
    positions: withPosition(base.positions, position),
  };
}

function changed(base: Reservation, event: ReservationEvent): Partial<Reservation> {
  switch (event.type) {
    case "InventoryReserved":
      return { lines: addedLines(base.lines, event.data.lines), expires_at: event.data.expires_at };
    case "InventoryReservationFailed":
      return { status: "refused", refusal: event.data.refusal, reason: event.data.refusal.code };
    case "InventoryConfirmed":
      return { status: "confirmed", expires_at: null };
    case "InventoryExtended":
      return { expires_at: event.data.expires_at, keys: withKey(base.keys, event.data.key, extension) };
    case "InventoryReleased": {
      const { now, reason, lines } = event.data;
      return now === null
        ? { lines: reducedLines(base.lines, lines) }
        : { status: now, reason, expires_at: null };
    }
    case "InventoryCommitted": {
      const { lines, key, complete } = event.data;
      const rest = {
        lines: committedLines(base.lines, lines),
        keys: withKey(base.keys, key, commitOf(lines)),
      };
      return complete ? { ...rest, status: "committed", expires_at: null } : rest;
    }
  }
}

function unborn(event: ReservationEvent, at: Date): Reservation {
  return {
    id: event.data.reservation_id,
    status: "held",
    lines: [],
    order_id: event.data.order_id,
    reason: null,
    refusal: null,
    expires_at: null,
    created_at: at,
    updated_at: at,
    keys: [],
    positions: [],
  };
}

/** What a key can have been used for. */
export const extension = "extension";

export function commitOf(lines: readonly Line[]): string {
  const parts = lines.map(({ store_id, sku, quantity }) => JSON.stringify([store_id, sku, quantity]));
  return `commit ${parts.sort().join()}`;
}

/** What a key was used for; undefined when it is new. Keys hold no space. */
export function useOf({ keys }: Reservation, key: string): string | undefined {
  return keys.find((entry) => entry.startsWith(`${key} `))?.slice(key.length + 1);
}

function withKey(keys: readonly string[], key: string | null, use: string): readonly string[] {
  return key === null ? keys : [...keys, `${key} ${use}`];
}

function withPosition(positions: readonly number[], position: number): readonly number[] {
  return positions.at(-1) === position ? positions : [...positions, position];
}

function addedLines(lines: readonly ReservedLine[], more: readonly Line[]): ReservedLine[] {
  if (lines.length === 0) return more.map(newLine);
  const added = new Map(lines.map((line) => [keyOf(line), line]));
  for (const { store_id, sku, quantity } of more) {
    const key = keyOf({ store_id, sku });
    const before = added.get(key);
    added.set(
      key,
      before === undefined
        ? newLine({ store_id, sku, quantity })
        : { ...before, quantity: before.quantity + quantity },
    );
  }
  return [...added.values()];
}

function newLine({ store_id, sku, quantity }: Line): ReservedLine {
  return { store_id, sku, quantity, quantity_committed: 0 };
}

function reducedLines(lines: readonly ReservedLine[], less: readonly Line[]): ReservedLine[] {
  const by = new Map(less.map((line) => [keyOf(line), line.quantity]));
  return lines
    .map((line) => ({ ...line, quantity: line.quantity - (by.get(keyOf(line)) ?? 0) }))
    .filter((line) => line.quantity > 0);
}

function committedLines(lines: readonly ReservedLine[], committed: readonly Line[]): ReservedLine[] {
  const by = new Map(committed.map((line) => [keyOf(line), line.quantity]));
  return lines.map((line) => ({
    ...line,
    quantity_committed: line.quantity_committed + (by.get(keyOf(line)) ?? 0),
  }));
}
