import { accept, type Decision, refuse, unreachable } from "../../kernel/decision.ts";
import type {
  CancelShipment,
  ClaimShipments,
  FailShipment,
  FulfillmentCommand,
  FulfillmentEvent,
  FulfillmentRefusal,
  Line,
  OpenShipment,
  RecordHandover,
  Ship,
  Shipment,
  ShipmentPart,
} from "./contract.ts";
import { keyOf, linesLeft, mergeLines } from "./shipment.ts";

type Decided = Decision<FulfillmentEvent, FulfillmentRefusal>;

/** The rules of the service. Pure: the same shipment and command give the same answer. */
export function decide(
  shipment: Shipment | undefined,
  command: Exclude<FulfillmentCommand, ClaimShipments>,
): Decided {
  switch (command.type) {
    case "OpenShipment":
      return open(shipment, command);
    case "CancelShipment":
      return cancel(shipment, command);
    case "RecordHandover":
      return shipment === undefined ? accept() : recordHandover(shipment, command);
    case "Ship":
      return isKnown(shipment) ? ship(shipment, command) : refuse(notFound(command.shipment_id));
    case "FailShipment":
      return isKnown(shipment) ? fail(shipment, command) : refuse(notFound(command.shipment_id));
    default:
      return unreachable(command);
  }
}

/** Of what was called off before it was paid, nothing is known but that. */
function isKnown(shipment: Shipment | undefined): shipment is Shipment {
  return shipment !== undefined && shipment.status !== "called_off";
}

function open(shipment: Shipment | undefined, { order_id, reservation_id, lines }: OpenShipment): Decided {
  const identity = { shipment_id: order_id, order_id, reservation_id };
  const opened: FulfillmentEvent = {
    type: "ShipmentOpened",
    data: { ...identity, lines: mergeLines(lines) },
  };
  if (shipment === undefined) return accept(opened);
  if (shipment.status !== "called_off" || shipment.cancel_wanted === null) return accept();
  const { reason } = shipment.cancel_wanted;
  return accept<FulfillmentEvent>(opened, { type: "ShipmentCancelled", data: { ...identity, reason } });
}

function cancel(shipment: Shipment | undefined, command: CancelShipment): Decided {
  switch (shipment?.status) {
    case "open":
      return accept(cancelled(shipment, command.reason));
    case "partly_shipped":
    case "shipped": {
      const answered = command.cause !== undefined && shipment.refused_requests.includes(command.cause);
      return command.order_ended || answered ? accept() : accept(tooLate(shipment));
    }
    default:
      return accept(); // it has ended, or the answer is still to come: see `wantsCancellation`
  }
}

/** Whether the request has to be kept until it can be decided. */
export function wantsCancellation(shipment: Shipment | undefined, command: CancelShipment): boolean {
  if (shipment === undefined) return !command.order_ended;
  if (shipment.status === "called_off") return !command.order_ended && shipment.cancel_wanted === null;
  return shipment.status === "handing_over" && shipment.cancel_wanted === null;
}

function recordHandover(shipment: Shipment, { outcome }: RecordHandover): Decided {
  if (shipment.status !== "open" && shipment.status !== "handing_over") return accept();
  const wanted = shipment.cancel_wanted;
  switch (outcome.result) {
    case "shipped": {
      const { carrier, tracking } = outcome;
      const fulfilled = shipped(shipment, linesLeft(shipment), carrier, tracking);
      return wanted === null ? accept(fulfilled) : accept<FulfillmentEvent>(fulfilled, tooLate(shipment));
    }
    case "refused":
      if (wanted !== null) return accept(cancelled(shipment, wanted.reason));
      return accept(failed(shipment, "carrier_refused", outcome.detail));
    case "absent":
      return wanted === null ? accept() : accept(cancelled(shipment, wanted.reason));
    case "unanswered":
      return accept();
    case "not_tried":
      // Nobody has called the carrier, this time or ever, so there is no answer to wait for.
      return wanted !== null && shipment.attempts === 0
        ? accept(cancelled(shipment, wanted.reason))
        : accept();
    default:
      return unreachable(outcome);
  }
}

function ship(shipment: Shipment, command: Ship): Decided {
  const repeated = shipment.parts.find(({ key }) => key !== null && key === command.key);
  if (repeated !== undefined) {
    return isSamePart(shipment, repeated, command) ? accept() : refuse(keyReused(repeated));
  }
  const closed = whyClosed(shipment);
  if (closed !== undefined) return refuse(closed);

  const left = linesLeft(shipment);
  const lines = command.lines === undefined ? left : mergeLines(command.lines);
  const leftOf = new Map(left.map((line) => [keyOf(line), line.quantity]));
  const tooMany = lines.filter((line) => line.quantity > (leftOf.get(keyOf(line)) ?? 0));
  if (tooMany.length > 0) {
    return refuse({
      code: "fulfillment.exceeds_shipment",
      detail: "A part can hold no more than what has not left yet.",
      lines: tooMany.map(({ store_id, sku, quantity }) => ({
        store_id,
        sku,
        requested: quantity,
        left: leftOf.get(keyOf({ store_id, sku, quantity })) ?? 0,
      })),
    });
  }
  return accept(shipped(shipment, lines, command.carrier, command.tracking));
}

function whyClosed(shipment: Shipment): FulfillmentRefusal | undefined {
  const { id, status, reason } = shipment;
  switch (status) {
    case "shipped":
      return { code: "fulfillment.already_shipped", detail: `All of ${id} has left.` };
    case "cancelled":
    case "failed":
      return { code: "fulfillment.shipment_ended", detail: `${id} is ${status}: ${reason}` };
    case "handing_over":
      return { code: "fulfillment.handing_over", detail: `The carrier has not yet answered for ${id}.` };
    default:
      return undefined;
  }
}

function isSamePart(shipment: Shipment, part: ShipmentPart, command: Ship): boolean {
  if (part.carrier !== command.carrier || part.tracking !== command.tracking) return false;
  if (command.lines === undefined) return shipment.status === "shipped" && shipment.parts.at(-1) === part;
  return spelled(part.lines) === spelled(mergeLines(command.lines));
}

function spelled(lines: readonly Line[]): string {
  return lines
    .map((line) => keyOf(line) + line.quantity)
    .sort()
    .join();
}

function fail(shipment: Shipment, { detail }: FailShipment): Decided {
  if (shipment.status === "failed" && shipment.reason === detail) return accept();
  if (shipment.status === "partly_shipped") {
    return refuse({ code: "fulfillment.already_shipped", detail: `A part of ${shipment.id} has left.` });
  }
  const closed = whyClosed(shipment);
  return closed === undefined ? accept(failed(shipment, "not_shippable", detail)) : refuse(closed);
}

// ---- events --------------------------------------------------------------------------------------------------------

function identityOf({ id, reservation_id }: Shipment) {
  return { shipment_id: id, order_id: id, reservation_id };
}

function shipped(
  shipment: Shipment,
  lines: readonly Line[],
  carrier: string,
  tracking: string | null,
): FulfillmentEvent {
  const isAll = total(lines) === total(linesLeft(shipment));
  return {
    type: isAll ? "OrderFulfilled" : "OrderPartlyShipped",
    data: { ...identityOf(shipment), part: shipment.parts.length + 1, carrier, tracking, lines },
  };
}

function total(lines: readonly Line[]): number {
  return lines.reduce((sum, { quantity }) => sum + quantity, 0);
}

function cancelled(shipment: Shipment, reason: string): FulfillmentEvent {
  return { type: "ShipmentCancelled", data: { ...identityOf(shipment), reason } };
}

function tooLate(shipment: Shipment): FulfillmentEvent {
  const detail =
    shipment.status === "partly_shipped" ? "A part of it has left already." : "It has left already.";
  return { type: "ShipmentCancellationRefused", data: { ...identityOf(shipment), detail } };
}

function failed(shipment: Shipment, code: string, detail: string): FulfillmentEvent {
  return { type: "FulfillmentFailed", data: { ...identityOf(shipment), code, detail } };
}

function notFound(id: string): FulfillmentRefusal {
  return { code: "fulfillment.shipment_not_found", detail: `There is no shipment ${id}.` };
}

function keyReused({ part, key }: ShipmentPart): FulfillmentRefusal {
  return { code: "fulfillment.key_reused", detail: `${key} named part ${part}, which was another one.` };
}
