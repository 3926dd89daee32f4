import { isIPv6 } from "node:net";
import { orderedSku } from "./demo.ts";
import type { StockKey, StockRecord } from "./services/inventory/contract/index.ts";

export interface Greeting {
  readonly url: string;
  readonly database: string;
  /** What carries the events, unless the database does. */
  readonly broker: string | undefined;
  readonly needsKey: boolean;
  /** Of the demo SKU; undefined when there is none. */
  readonly lastUnit: Pick<StockRecord, "store_id" | "sku" | "quantity_available"> | undefined;
}

/** Where a client on this machine finds the server. */
export function urlOf(host: string, port: number): string {
  const reachable = { "0.0.0.0": "127.0.0.1", "::": "::1" }[host] ?? host;
  return `http://${isIPv6(reachable) ? `[${reachable}]` : reachable}:${port}`;
}

/** For a person at a terminal. */
export function greet(greeting: Greeting): string {
  const { url, database, broker, needsKey } = greeting;
  const access = needsKey
    ? "with an API key"
    : "open to everybody on this machine; the first `holdfast keys create` locks it";
  return `
Holdfast is ready.

  API       ${url}
  Docs      ${url}/docs
  Health    ${url}/health
  Metrics   ${url}/metrics
  Database  ${database}${broker === undefined ? "" : `\n  Events    ${broker}`}
  Access    ${access}

${invite(greeting)}
`;
}

/** For a log: what nobody should have to search for. */
export function greetShortly(greeting: Greeting): string {
  return `Holdfast is ready at ${greeting.url}\n${invite(greeting)}\n`;
}

function invite(greeting: Greeting): string {
  const { lastUnit } = greeting;
  if (lastUnit === undefined) return `Is it well?\n\n  curl -i ${greeting.url}/health\n`;
  const story =
    lastUnit.quantity_available > 0
      ? `${lastUnit.quantity_available} ${lastUnit.sku} left. Hold it; then send the same line again, as the next buyer:`
      : `No ${lastUnit.sku} is left to hold, so the next buyer is refused:`;
  return `${story}\n\n  ${holdOne(greeting, lastUnit)}\n\n${orderStory(greeting, lastUnit)}\n`;
}

/** Every time that it is pasted, another buyer comes: `date` is in every shell, $RANDOM is not. */
function holdOne({ url, needsKey }: Greeting, { store_id, sku }: StockKey): string {
  const body = quoted({ lines: [{ store_id, sku, quantity: 1 }] });
  return `curl -i -X PUT "${url}/v1/reservations/buyer-$(date +%s)"${keyHeader(needsKey)} ${json} -d ${body}`;
}

function orderStory({ url, needsKey }: Greeting, { store_id }: StockKey): string {
  const body = quoted({
    customer_id: "you",
    lines: [{ store_id, sku: orderedSku, quantity: 2 }],
    payment: { token: "tok_ok" },
  });
  const request = `-H "idempotency-key: order-$(date +%s)" -H 'prefer: wait=10'`;
  return `Order something: it is paid, shipped and out of the stock when the answer comes. Then see its whole way.

  curl -i "${url}/v1/orders"${keyHeader(needsKey)} ${request} ${json} -d ${body}
  curl "${url}/v1/orders/ID/timeline"${keyHeader(needsKey)}     # with the id of the answer`;
}

const json = `-H 'content-type: application/json'`;

function keyHeader(needsKey: boolean): string {
  return needsKey ? ` -H "authorization: Bearer $API_KEY"` : "";
}

/** As one word for a shell. */
function quoted(body: object): string {
  return `'${JSON.stringify(body).replaceAll("'", "'\\''")}'`;
}
