import type {
  InventoryEvent,
  InventoryRefusal,
  InventoryRefusalCode,
  Line,
  RecordedEvent,
  Reservation,
  ReservedLine,
  StockKey,
} from "./contract/index.ts";
import { keyOf } from "./stock.ts";

// ---- the life of a hold --------------------------------------------------------------------------------------------

export function isOpen({ status }: Reservation): boolean {
  return status === "held" || status === "confirmed";
}

export function isOverdue({ status, expires_at }: Reservation, now: Date): boolean {
  return status === "held" && expires_at !== null && expires_at <= now;
}

/** What a line still holds. */
function remaining(line: ReservedLine): number {
  return line.quantity - line.quantity_committed;
}

/** What it holds of one record. */
export function heldOf({ lines }: Reservation, { store_id, sku }: StockKey): number {
  return lines
    .filter((line) => line.sku === sku && line.store_id === store_id)
    .reduce((total, line) => total + remaining(line), 0);
}

export function remainingLines(reservation: Reservation): Line[] {
  return reservation.lines
    .filter((line) => remaining(line) > 0)
    .map((line) => ({ store_id: line.store_id, sku: line.sku, quantity: remaining(line) }));
}

export function identityOf(reservation: Reservation) {
  return { reservation_id: reservation.id, order_id: reservation.order_id };
}

export function releaseOf(
  reservation: Reservation,
  reason: string,
  now: "released" | "expired",
): InventoryEvent {
  return {
    type: "InventoryReleased",
    data: { ...identityOf(reservation), lines: remainingLines(reservation), reason, now },
  };
}

export function after(now: Date, seconds: number): Date {
  return new Date(now.getTime() + seconds * 1_000);
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
    ...changed(base, event, at),
    updated_at: at,
    positions: withPosition(base.positions, position),
  };
}

function changed(base: Reservation, event: ReservationEvent, at: Date): Partial<Reservation> {
  switch (event.type) {
    case "InventoryReserved": {
      const { lines, expires_at, order_id, key } = event.data;
      const rest = {
        expires_at,
        order_id: order_id ?? base.order_id,
        keys: withKey(base.keys, key, hold),
      };
      return isOpen(base)
        ? { ...rest, lines: addedLines(base.lines, lines) }
        : { ...rest, ...heldAgain(base, lines) };
    }
    case "InventoryReservationFailed":
      return turnedDown(base, event.data);
    case "InventoryRetaken": {
      const { lines, expires_at, order_id } = event.data;
      return { ...heldAgain(base, lines), expires_at, order_id: order_id ?? base.order_id };
    }
    case "InventoryConfirmationFailed":
      return { refusal: event.data.refusal };
    case "InventoryConfirmed":
      return { status: "confirmed", expires_at: null };
    case "InventoryExtended": {
      const { expires_at, key } = event.data;
      const ttl_seconds = (expires_at.getTime() - at.getTime()) / 1_000;
      return { expires_at, keys: withKey(base.keys, key, extensionBy(ttl_seconds)) };
    }
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

function heldAgain(base: Reservation, lines: readonly Line[]): Partial<Reservation> {
  return { status: "held", reason: null, refusal: null, lines: retakenLines(base.lines, lines) };
}

/** Remembers who could not have it. What it is for others, it stays. */
function turnedDown(
  base: Reservation,
  { refusal, order_id, key }: { refusal: InventoryRefusal; order_id: string | null; key: string | null },
): Partial<Reservation> {
  const isStranger = refusal.code === "inventory.reservation_taken";
  const name = isStranger && order_id !== null ? keyOfOrder(order_id) : key;
  const keys = withKey(base.keys, name, refusedHold + refusal.code);
  if (isStranger) return { keys };
  const isUnborn = base.positions.length === 0;
  if (isUnborn || base.status === "refused") {
    return { status: "refused", refusal, reason: refusal.code, order_id, keys };
  }
  return order_id === null ? { keys } : { order_id, refusal, keys };
}

/** What a key can have been used for, beside commits. */
const extension = "extension";
const hold = "hold";
const refusedHold = "refused ";

/** It is a cart's or an order's of ours: what becomes of it is told by their events, and by nobody else. */
export function isSpokenFor(reservation: Reservation): boolean {
  const { order_id, keys } = reservation;
  if (order_id !== null) return useOf(reservation, keyOfOrder(order_id)) === hold;
  return keys.some((entry) => entry.endsWith(` ${hold}`));
}

/** Without a time, any extension; what was kept of older ones does not say by how much. */
export function isExtension(use: string, ttl_seconds?: number): boolean {
  if (use === extension) return true;
  return ttl_seconds === undefined ? use.startsWith(`${extension} `) : use === extensionBy(ttl_seconds);
}

function extensionBy(ttl_seconds: number): string {
  return `${extension} ${ttl_seconds}`;
}

/** What was answered to a cart or an order before; undefined when a hold was not asked for under this key. */
export function answerOf(reservation: Reservation, key: string): "held" | InventoryRefusalCode | undefined {
  const use = useOf(reservation, key);
  if (use === undefined) return undefined;
  return use.startsWith(refusedHold) ? (use.slice(refusedHold.length) as InventoryRefusalCode) : "held";
}

/** Under which an order asks for its hold: a key that no client can choose. */
export function keyOfOrder(order_id: string): string {
  return `order/${order_id}`;
}

export function commitOf(lines: readonly Line[]): string {
  const parts = lines.map(({ store_id, sku, quantity }) => JSON.stringify([store_id, sku, quantity]));
  return `commit ${parts.sort().join()}`;
}

/** What a key was used for; undefined when it is new. Keys hold no space. */
export function useOf({ keys }: Reservation, key: string): string | undefined {
  return keys.find((entry) => entry.startsWith(`${key} `))?.slice(key.length + 1);
}

function withKey(keys: readonly string[], key: string | null | undefined, use: string): readonly string[] {
  return key == null ? keys : [...keys, `${key} ${use}`];
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

/** What was shipped before the hold expired stays shipped; the rest is what is held now. */
function retakenLines(lines: readonly ReservedLine[], retaken: readonly Line[]): ReservedLine[] {
  const shipped = lines
    .filter((line) => line.quantity_committed > 0)
    .map((line) => ({ ...line, quantity: line.quantity_committed }));
  return addedLines(shipped, retaken);
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
