/** What the logs of all services say about one order, counted. */
export interface Tally {
  readonly order_id: string;
  reservation_id: string | undefined;
  ended_as: string | undefined;
  ends: number;
  succeeded: number;
  refunded: number;
  parts: number;
  fulfilled: number;
  committed: number;
  completed: number;
  restocked: boolean;
  held: boolean;
  last_at: Date;
  wrong_total: string | undefined;
  /** The events that were counted when the order was looked at once more; undefined otherwise. */
  readonly counted: Set<string> | undefined;
}

export interface TalliedEvent {
  readonly id: string;
  readonly type: string;
  readonly at: Date;
  readonly data: object;
}

export function newTally(order_id: string, at: Date, counted?: Set<string>): Tally {
  return {
    order_id,
    reservation_id: undefined,
    ended_as: undefined,
    ends: 0,
    succeeded: 0,
    refunded: 0,
    parts: 0,
    fulfilled: 0,
    committed: 0,
    completed: 0,
    restocked: false,
    held: false,
    last_at: at,
    wrong_total: undefined,
    counted,
  };
}

interface TalliedData {
  readonly reservation_id?: string;
  readonly lines?: readonly { readonly quantity: number; readonly price_minor: number }[];
  readonly total_minor?: number;
  readonly status?: string;
  readonly now?: string | null;
  readonly complete?: boolean;
}

export function count(tally: Tally, { id, type, at, data }: TalliedEvent): void {
  if (tally.counted?.has(id)) return;
  tally.counted?.add(id);
  const said = data as TalliedData;
  if (at > tally.last_at) tally.last_at = at;
  if (type.startsWith("Inventory")) {
    // Whoever reserves by hand may call it an order's.
    if (tally.reservation_id === undefined || said.reservation_id === tally.reservation_id) {
      countStock(tally, type, said);
    }
    return;
  }
  switch (type) {
    case "OrderCreated":
      tally.reservation_id = said.reservation_id;
      tally.wrong_total =
        totalOf(said) === said.total_minor ? undefined : `${totalOf(said)}, not ${said.total_minor}`;
      return;
    case "OrderCompleted":
      tally.completed++;
      end(tally, "completed");
      return;
    case "OrderCancelled":
      end(tally, "cancelled");
      return;
    case "OrderFailed":
      end(tally, said.status!);
      return;
    case "PaymentSucceeded":
      tally.succeeded++;
      return;
    case "PaymentRefunded":
      tally.refunded++;
      return;
    case "OrderPartlyShipped":
      tally.parts++;
      return;
    case "OrderFulfilled":
      tally.fulfilled++;
  }
}

function countStock(tally: Tally, type: string, { now, complete }: TalliedData): void {
  switch (type) {
    case "InventoryReserved":
    case "InventoryRetaken":
    case "InventoryConfirmed":
      tally.held = true;
      return;
    case "InventoryReservationFailed":
    case "InventoryConfirmationFailed":
      tally.held = false;
      return;
    case "InventoryReleased":
      if (now !== null) tally.held = false;
      return;
    case "InventoryCommitted":
      if (complete !== true) return;
      tally.held = false;
      tally.committed++;
  }
}

function end(tally: Tally, status: string): void {
  tally.ended_as = status;
  tally.ends++;
}

function totalOf({ lines = [] }: TalliedData): number {
  return lines.reduce((sum, line) => sum + line.price_minor * line.quantity, 0);
}

/** What must never be, however young it is: something had its effect twice. */
export function doubled(tally: Tally): string[] {
  const counts = {
    "was paid": tally.succeeded,
    "was paid back": tally.refunded,
    "was shipped": tally.fulfilled,
    "was taken off the stock": tally.committed,
    "was completed": tally.completed,
    ended: tally.ends,
  };
  return Object.entries(counts)
    .filter(([, times]) => times > 1)
    .map(([what, times]) => `${tally.order_id} ${what} ${times} times`);
}

/** What an order that has ended still owes; nothing, when all of its consequences are there. */
export function owed(tally: Tally): string[] {
  const { ended_as, succeeded, refunded, fulfilled, committed, parts, restocked, held } = tally;
  if (ended_as === undefined) return [];
  const isCompleted = ended_as === "completed";
  const complaints: [complaint: string, is: boolean][] = isCompleted
    ? [
        ["was not paid", succeeded !== 1],
        ["was paid back", refunded > 0],
        ["was not shipped", fulfilled !== 1],
        ["was not taken off the stock", committed !== 1],
        ["still holds stock", held],
      ]
    : [
        ["still holds stock", held],
        ["was taken off the stock and not put back", committed > 0 && !restocked],
        ["was paid and not paid back", succeeded > refunded],
        ["was paid back without being paid", succeeded < refunded],
        ["was shipped", fulfilled + parts > 0],
      ];
  return complaints.filter(([, is]) => is).map(([what]) => `${tally.order_id} is ${ended_as}, but ${what}`);
}
