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
  /** It has lost its hold once: then less than was ordered may be left to take off the stock. */
  lost: boolean;
  /** Units by store and SKU that were ordered and not yet taken off the stock; negative: taken, and not ordered. */
  readonly untaken: Map<string, number>;
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
    lost: false,
    untaken: new Map(),
    last_at: at,
    wrong_total: undefined,
    counted,
  };
}

interface TalliedLine {
  readonly store_id: string;
  readonly sku: string;
  readonly quantity: number;
  readonly price_minor: number;
}

interface TalliedData {
  readonly reservation_id?: string;
  readonly lines?: readonly TalliedLine[];
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
      add(tally, said.lines, 1);
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

function countStock(tally: Tally, type: string, { now, complete, lines }: TalliedData): void {
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
      if (now === null) return;
      tally.held = false;
      tally.lost = true;
      return;
    case "InventoryCommitted":
      add(tally, lines, -1);
      if (complete !== true) return;
      tally.held = false;
      tally.committed++;
  }
}

function add({ untaken }: Tally, lines: readonly TalliedLine[] = [], sign: 1 | -1): void {
  for (const { store_id, sku, quantity } of lines) {
    const key = `${sku} in ${store_id}`;
    untaken.set(key, (untaken.get(key) ?? 0) + sign * quantity);
  }
}

/** What of the stock does not fit what was ordered, once all of it has been taken. */
function misfits({ untaken, lost }: Tally): string[] {
  return [...untaken]
    .filter(([, units]) => units < 0 || (units > 0 && !lost))
    .map(([what, units]) => `${Math.abs(units)} ${units > 0 ? "too few" : "too many"} of ${what}`);
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
        [
          `was taken off the stock with ${misfits(tally).join(", ")}`,
          committed === 1 && misfits(tally).length > 0,
        ],
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
