import { type Decision, unreachable } from "../../kernel/decision.ts";
import type { EventRecord, LogMark } from "../../platform/log/append.ts";
import type {
  CancelShipment,
  FulfillmentCommand,
  FulfillmentEvent,
  FulfillmentRefusal,
  FulfillmentReply,
  Origin,
  RecordHandover,
  Shipment,
} from "./contract.ts";
import { decide, wantsCancellation } from "./decide.ts";
import { evolve, unborn } from "./shipment.ts";

export interface Loaded {
  readonly mark: LogMark;
  readonly shipments: readonly Shipment[];
  /** Those whose turn it is to be given to the carrier. */
  readonly due: readonly string[];
  /** Null when no carrier is called: the API ships. */
  readonly carrier: { readonly room: number; readonly leaseMs: number } | null;
}

/** The shipments that a batch touches. Each command sees what the one before it did. */
export class ShipmentBook {
  readonly mark: LogMark;
  readonly events: EventRecord[] = [];
  readonly created = new Set<string>();
  private readonly touched = new Set<string>();
  private readonly shipments: Map<string, Shipment>;
  private readonly due: readonly string[];
  private readonly carrier: Loaded["carrier"];
  private room: number;

  constructor({ mark, shipments, due, carrier }: Loaded) {
    this.mark = mark;
    this.shipments = new Map(shipments.map((shipment) => [shipment.id, shipment]));
    this.due = due;
    this.carrier = carrier;
    this.room = carrier?.room ?? 0;
  }

  changed(): Shipment[] {
    return [...this.touched].sort().map((id) => this.shipments.get(id)!);
  }

  settle(command: FulfillmentCommand): FulfillmentReply {
    if (command.type === "ClaimShipments") {
      return {
        accepted: true,
        events: [],
        shipment: undefined,
        handed: this.due.flatMap((id) => this.claim(id)),
      };
    }
    const id = "order_id" in command ? command.order_id : command.shipment_id;
    const before = this.shipments.get(id);
    const decision: Decision<FulfillmentEvent, FulfillmentRefusal> = decide(before, command);
    if (!decision.accepted) return decision;
    const { events } = decision;
    for (const event of events) this.record(id, event, originOf(event, before, command));
    const handed = this.follow(id, before, command, events);
    return { accepted: true, events, shipment: this.shipments.get(id), handed };
  }

  private record(id: string, event: FulfillmentEvent, origin: Origin): void {
    const before = this.shipments.get(id);
    this.put(evolve(before, event, this.mark.now, origin));
    this.events.push({ type: event.type, subject: id, data: event.data, ...origin });
  }

  /** What a command changes beside its events: who is asked next and when, and what is only remembered. */
  private follow(
    id: string,
    before: Shipment | undefined,
    command: FulfillmentCommand,
    events: readonly FulfillmentEvent[],
  ): Shipment[] {
    switch (command.type) {
      case "OpenShipment":
        return events.length === 1 ? this.schedule(id) : [];
      case "CancelShipment":
        if (events.length === 0) this.remember(before, command);
        return [];
      case "RecordHandover":
        if (events.length === 0) this.reschedule(before, command);
        return [];
      case "Ship":
        if (events.length > 0 && command.key !== undefined) this.nameLastPart(id, command.key);
        return [];
      case "FailShipment":
      case "ClaimShipments":
        return [];
      default:
        return unreachable(command);
    }
  }

  /** A new one goes to the carrier at once if there is room, otherwise with the sweep. */
  private schedule(id: string): Shipment[] {
    if (this.carrier === null) return [];
    this.put({ ...this.shipments.get(id)!, next_try_at: this.mark.now });
    if (this.room === 0) return [];
    this.room--;
    return this.claim(id);
  }

  private claim(id: string): Shipment[] {
    const shipment = this.shipments.get(id)!;
    const { status, next_try_at, attempts } = shipment;
    const isDue = next_try_at !== null && next_try_at <= this.mark.now;
    if (!isDue || this.carrier === null) return [];
    const claimed: Shipment = {
      ...shipment,
      status: "handing_over",
      // It was given to the carrier already, and no answer was recorded.
      attempts: status === "handing_over" ? attempts + 1 : attempts,
      next_try_at: this.in(this.carrier.leaseMs),
    };
    this.put(claimed);
    return [claimed];
  }

  private remember(before: Shipment | undefined, command: CancelShipment): void {
    if (before !== undefined && !wantsCancellation(before, command)) return;
    const shipment = before ?? unborn(command.order_id, command.reservation_id, this.mark.now);
    const { reason } = command;
    const cancel_wanted = wantsCancellation(before, command) ? { reason, ...pick(command) } : null;
    this.put({ ...shipment, cancel_wanted });
  }

  private reschedule(before: Shipment | undefined, { outcome }: RecordHandover): void {
    if (before?.status !== "handing_over" || !("retry_in_ms" in outcome)) return;
    const untouched = outcome.result === "not_tried" && before.attempts === 0;
    const next_try_at = this.in(outcome.retry_in_ms);
    this.put({ ...before, status: untouched ? "open" : "handing_over", next_try_at });
  }

  private nameLastPart(id: string, key: string): void {
    const shipment = this.shipments.get(id)!;
    const parts = shipment.parts.map((part, i) =>
      i === shipment.parts.length - 1 ? { ...part, key } : part,
    );
    this.put({ ...shipment, parts });
  }

  private in(ms: number): Date {
    return new Date(this.mark.now.getTime() + ms);
  }

  private put(shipment: Shipment): void {
    if (!this.shipments.has(shipment.id)) this.created.add(shipment.id);
    this.shipments.set(shipment.id, shipment);
    this.touched.add(shipment.id);
  }
}

/** The answer to a request to cancel belongs to the request, whatever has led to the answer now. */
function originOf(
  event: FulfillmentEvent,
  before: Shipment | undefined,
  command: FulfillmentCommand,
): Origin {
  const answers = event.type === "ShipmentCancelled" || event.type === "ShipmentCancellationRefused";
  return pick((answers && before?.cancel_wanted) || command);
}

function pick({ traceparent, cause }: Origin): Origin {
  return {
    ...(traceparent === undefined ? {} : { traceparent }),
    ...(cause === undefined ? {} : { cause }),
  };
}
