/** Whatever the events that an order hears of may say. */
interface Said {
  readonly lines?: readonly { readonly quantity: number }[];
  readonly total_minor?: number;
  readonly amount_minor?: number;
  readonly currency?: string;
  readonly reason?: string;
  readonly code?: string;
  readonly detail?: string;
  readonly status?: string;
  readonly refusal?: { readonly detail: string };
  readonly expires_at?: string | Date | null;
  readonly retry_at?: string | Date;
  readonly now?: string | null;
  readonly complete?: boolean;
  readonly carrier?: string;
  readonly tracking?: string | null;
  readonly part?: number;
}

/** What happened, in one plain sentence. */
export function summaryOf(type: string, data: object): string {
  const said = data as Said;
  const summarize = summaries[type];
  return summarize === undefined ? `${type}.` : summarize(said);
}

const summaries: Readonly<Record<string, (said: Said) => string>> = {
  CartCheckedOut: () => "The cart was checked out.",
  OrderCreated: ({ lines, total_minor, currency }) =>
    `The order was taken: ${units(lines)} for ${money(total_minor, currency)}.`,
  OrderPaid: () => "The order is paid and its stock secured; it can be shipped.",
  OrderCancellationRequested: ({ reason }) => `Fulfilment was asked to cancel the order: ${closed(reason)}`,
  OrderCancelled: ({ reason, detail }) => `The order was cancelled (${reason}): ${closed(detail)}`,
  OrderFailed: ({ status, detail }) => `The order ${endings[status ?? ""] ?? "failed"}: ${closed(detail)}`,
  OrderCompleted: () => "The order is complete: paid, shipped and taken off the stock.",
  InventoryReserved: ({ lines, expires_at }) =>
    lines?.length === 0
      ? `The stock that the cart held became the order's${until(expires_at)}.`
      : `Stock was reserved: ${units(lines)}${until(expires_at)}.`,
  InventoryRetaken: ({ expires_at }) =>
    `The hold had expired, and the stock was taken again${until(expires_at)}.`,
  InventoryReservationFailed: ({ refusal }) => `The stock could not be reserved: ${closed(refusal?.detail)}`,
  InventoryConfirmed: () => "The stock is secured for good.",
  InventoryConfirmationFailed: ({ refusal }) =>
    `The stock was gone when the payment came: ${closed(refusal?.detail)}`,
  InventoryExtended: ({ expires_at }) => `The stock is held for longer${until(expires_at)}.`,
  InventoryReleased: ({ now, reason }) => {
    if (now === "expired") return "The hold on the stock expired.";
    return now === null ? "A part of the stock was let go." : `The stock was let go (${reason}).`;
  },
  InventoryCommitted: ({ lines, complete }) => {
    const rest = complete ? "; nothing is left to ship" : "";
    return `${capital(units(lines))} left the stock${rest}.`;
  },
  PaymentSucceeded: ({ amount_minor, currency }) => `${money(amount_minor, currency)} was paid.`,
  PaymentFailed: ({ code, detail }) => `The payment failed (${code}): ${closed(detail)}`,
  PaymentDelayed: ({ detail, retry_at }) =>
    `The payment gateway could not be reached, the next try is at ${moment(retry_at)}: ${closed(detail)}`,
  PaymentRefunded: ({ amount_minor, currency, reason }) =>
    `${money(amount_minor, currency)} was paid back: ${closed(reason)}`,
  ShipmentOpened: ({ lines }) => `A shipment was opened: ${units(lines)}.`,
  OrderPartlyShipped: ({ lines, part, ...by }) => `Part ${part} was shipped${carried(by)}: ${units(lines)}.`,
  OrderFulfilled: ({ lines, part, ...by }) =>
    part === 1
      ? `The order was shipped${carried(by)}.`
      : `The last part was shipped${carried(by)}: ${units(lines)}.`,
  ShipmentCancelled: ({ reason }) => `The shipment was cancelled before anything left: ${closed(reason)}`,
  ShipmentCancellationRefused: ({ detail }) => `It was too late to cancel the shipment: ${closed(detail)}`,
  FulfillmentFailed: ({ detail }) => `The carrier did not take the shipment: ${closed(detail)}`,
};

const endings: Readonly<Record<string, string>> = {
  rejected: "was rejected",
  payment_failed: "failed, because it was not paid",
  expired: "expired",
};

function units(lines: Said["lines"] = []): string {
  const count = lines.reduce((sum, { quantity }) => sum + quantity, 0);
  return `${count} ${count === 1 ? "unit" : "units"}`;
}

/** As people write it: some currencies have cents, some have not. */
function money(minor: number | undefined, currency: string | undefined): string {
  if (minor === undefined || currency === undefined) return "an amount";
  const { maximumFractionDigits: digits = 2 } = new Intl.NumberFormat("en", {
    style: "currency",
    currency,
  }).resolvedOptions();
  const text = String(minor).padStart(digits + 1, "0");
  const whole = text.slice(0, text.length - digits);
  return `${digits === 0 ? text : `${whole}.${text.slice(-digits)}`} ${currency}`;
}

function until(expires_at: string | Date | null | undefined): string {
  return expires_at == null ? "" : `, until ${moment(expires_at)}`;
}

function moment(at: string | Date | undefined): string {
  return at === undefined ? "" : new Date(at).toISOString();
}

function carried({ carrier, tracking }: Pick<Said, "carrier" | "tracking">): string {
  if (carrier === undefined) return "";
  return tracking == null ? ` with ${carrier}` : ` with ${carrier}, tracking ${tracking}`;
}

/** What others say may or may not end with a full stop; a sentence does. */
export function closed(words: string | undefined | null): string {
  if (words == null || words === "") return "no reason was given.";
  return /[.!?]$/.test(words) ? words : `${words}.`;
}

function capital(words: string): string {
  return words.charAt(0).toUpperCase() + words.slice(1);
}
