import type { FulfillmentEvent, Line, Origin, Shipment, ShippedLine } from "./contract.ts";

export function isDone({ status }: Shipment): boolean {
  return status === "shipped" || status === "cancelled" || status === "failed" || status === "called_off";
}

export function keyOf({ store_id, sku }: Line): string {
  return JSON.stringify([store_id, sku]);
}

/** The same lines with each SKU named once. */
export function mergeLines(lines: readonly Line[]): Line[] {
  const merged = new Map<string, Line>();
  for (const line of lines) {
    const before = merged.get(keyOf(line));
    merged.set(keyOf(line), before ? { ...line, quantity: before.quantity + line.quantity } : line);
  }
  return [...merged.values()];
}

export function linesLeft({ lines }: Shipment): Line[] {
  return lines
    .map(({ store_id, sku, quantity, quantity_shipped }) => ({
      store_id,
      sku,
      quantity: quantity - quantity_shipped,
    }))
    .filter(({ quantity }) => quantity > 0);
}

/** What an event makes of a shipment. Who is asked when, and which key named a part, is not in the events. */
export function evolve(
  before: Shipment | undefined,
  event: FulfillmentEvent,
  at: Date,
  origin: Origin,
): Shipment {
  const base = before ?? unborn(event.data.order_id, event.data.reservation_id, at);
  return { ...base, ...changed(base, event, at, origin), updated_at: at };
}

/** Before anything is known of it but its order. */
export function unborn(id: string, reservation_id: string, at: Date): Shipment {
  return {
    id,
    reservation_id,
    status: "called_off",
    lines: [],
    parts: [],
    reason: null,
    cancel_wanted: null,
    refused_requests: [],
    attempts: 0,
    next_try_at: null,
    origin: {},
    created_at: at,
    updated_at: at,
  };
}

function changed(base: Shipment, event: FulfillmentEvent, at: Date, origin: Origin): Partial<Shipment> {
  switch (event.type) {
    case "ShipmentOpened":
      return {
        status: "open",
        lines: event.data.lines.map((line) => ({ ...line, quantity_shipped: 0 })),
        origin,
        created_at: at,
      };
    case "OrderPartlyShipped":
    case "OrderFulfilled": {
      const { part, carrier, tracking, lines } = event.data;
      return {
        status: event.type === "OrderFulfilled" ? "shipped" : "partly_shipped",
        lines: withShipped(base.lines, lines),
        parts: [...base.parts, { part, key: null, carrier, tracking, lines, at }],
        next_try_at: null,
      };
    }
    case "ShipmentCancelled":
      return { status: "cancelled", reason: event.data.reason, cancel_wanted: null, next_try_at: null };
    case "ShipmentCancellationRefused":
      return { cancel_wanted: null, refused_requests: withRequest(base.refused_requests, origin.cause) };
    case "FulfillmentFailed":
      return { status: "failed", reason: event.data.detail, next_try_at: null };
  }
}

function withShipped(lines: readonly ShippedLine[], shipped: readonly Line[]): ShippedLine[] {
  const by = new Map(shipped.map((line) => [keyOf(line), line.quantity]));
  return lines.map((line) => ({
    ...line,
    quantity_shipped: line.quantity_shipped + (by.get(keyOf(line)) ?? 0),
  }));
}

function withRequest(requests: readonly string[], cause: string | undefined): readonly string[] {
  return cause === undefined ? requests : [...requests, cause];
}
