import { randomUUID } from "node:crypto";
import { withCommas } from "../../kernel/number.ts";
import { print } from "../output.ts";
import { showProgress } from "../progress.ts";
import { reportFindings } from "../verify.ts";
import { Client, inParallel, mustSucceed } from "./client.ts";
import { type DemoServer, withDemoServer } from "./server.ts";

export interface FlashSale {
  readonly buyers: number;
  readonly units: number;
}

const sku = "LAST-LANTERN";
const store_id = "main";
const holdSeconds = 6;
const lateSeconds = holdSeconds + 4;
/** Sold out is not the end: whoever wants one badly looks again while holds are still running out. */
const looks = 4;
const pauseMs = 4_000;

type Kind = "pays" | "card declined" | "pays late" | "changes their mind";

interface Buyer {
  readonly id: string;
  readonly kind: Kind;
  outcome: string;
}

/** Everybody at once for a few units. Answers whether the proof at the end holds. */
export function flashSale(sale: FlashSale): Promise<boolean> {
  return withDemoServer({ HOLDFAST_HOLD_TTL_SECONDS: String(holdSeconds) }, (server) => sell(server, sale));
}

async function sell(server: DemoServer, { buyers, units }: FlashSale): Promise<boolean> {
  const client = new Client(server.url, 512);
  await mustSucceed(
    client.put("/v1/products/lantern", {
      name: "Brass storm lantern",
      skus: [{ sku, price_minor: 8_900, currency: "EUR" }],
    }),
  );
  await mustSucceed(
    client.put(`/v1/stock/${store_id}/${sku}`, { quantity_on_hand: units, reason: "flash sale" }),
  );
  print(
    `${withCommas(units)} lanterns, ${withCommas(buyers)} buyers, all at once. A hold lasts ${holdSeconds} s.`,
  );
  print("Some cards are declined, some pay too late, some change their mind.\n");

  const crowd = Array.from(
    { length: buyers },
    (_, i): Buyer => ({ id: `buyer-${i}`, kind: kindOf(i), outcome: "" }),
  );
  const startedAt = performance.now();
  const progress = showProgress();
  const watch = setInterval(() => {
    void client.get(`/v1/stock/${store_id}/${sku}`).then(({ body }) => progress.show(scene(crowd, body)));
  }, 250);
  try {
    await inParallel(crowd, buyers, (buyer) => buy(client, buyer));
  } finally {
    clearInterval(watch);
    progress.clear();
  }
  const seconds = (performance.now() - startedAt) / 1_000;
  const proof = await prove(server, client, crowd, { buyers, units }, seconds);
  client.close();
  return proof;
}

/** Spread evenly, so that every kind is among the first as well. */
function kindOf(i: number): Kind {
  const share = (i * 37) % 100;
  if (share < 62) return "pays";
  if (share < 76) return "card declined";
  return share < 88 ? "pays late" : "changes their mind";
}

const tokens: Readonly<Record<Kind, string>> = {
  pays: "tok_ok",
  "card declined": "tok_declined",
  "pays late": `tok_late_${lateSeconds}`,
  // Their bank takes its time, so that there is something to cancel.
  "changes their mind": "tok_late_3",
};

async function buy(client: Client, buyer: Buyer): Promise<void> {
  for (let look = 1; look <= looks; look++) {
    const order = await placeOrder(client, buyer);
    if (buyer.kind === "changes their mind" && order.status === "reserved") {
      await client.post(`/v1/orders/${order.id}/cancel`, { reason: "found another one" });
    }
    const ended = await outcomeOf(client, order.id);
    buyer.outcome = ended.status === "rejected" ? "sold out" : ended.status;
    if (ended.status !== "rejected") return;
    if (look < looks) await pause(pauseMs * (0.5 + Math.random()));
  }
}

/** A request that gets no answer is sent again: its key makes that safe. */
async function placeOrder(client: Client, buyer: Buyer): Promise<{ id: string; status: string }> {
  const key = randomUUID();
  for (;;) {
    const { status, body } = await client.post(
      "/v1/orders",
      {
        customer_id: buyer.id,
        lines: [{ store_id, sku, quantity: 1 }],
        payment: { token: tokens[buyer.kind] },
      },
      { "idempotency-key": key, prefer: "wait=1" },
    );
    if (status < 300) return body;
    if (status !== 503) throw new Error(`an order was answered ${status}: ${JSON.stringify(body)}`);
    await pause(1_000);
  }
}

const ends = new Set(["completed", "rejected", "payment_failed", "cancelled", "expired"]);

async function outcomeOf(client: Client, id: string): Promise<{ status: string }> {
  for (;;) {
    const order = await mustSucceed(client.get(`/v1/orders/${id}`));
    if (ends.has(order.status)) return order;
    await pause(500);
  }
}

function scene(
  crowd: readonly Buyer[],
  stock: { quantity_on_hand: number; quantity_reserved: number },
): string {
  const tally = tallyOf(crowd);
  const sold = tally.get("completed") ?? 0;
  const lost = [...tally].filter(([outcome]) => outcome !== "completed" && outcome !== "");
  const others = lost.map(([outcome, buyers]) => `${withCommas(buyers)} ${outcome}`).join(" · ");
  return `sold ${sold} · held ${stock.quantity_reserved} · free ${stock.quantity_on_hand - stock.quantity_reserved} | ${others}`;
}

function tallyOf(crowd: readonly Buyer[]): Map<string, number> {
  const tally = new Map<string, number>();
  for (const { outcome } of crowd) tally.set(outcome, (tally.get(outcome) ?? 0) + 1);
  return tally;
}

async function prove(
  server: DemoServer,
  client: Client,
  crowd: readonly Buyer[],
  { buyers, units }: FlashSale,
  seconds: number,
): Promise<boolean> {
  const stock = await untilNothingIsHeld(client);
  const tally = tallyOf(crowd);
  const sold = tally.get("completed") ?? 0;
  const reasons: Readonly<Record<string, string>> = {
    completed: "paid and shipped",
    "sold out": "came too late, and were told so",
    payment_failed: "card declined: their unit went to the next",
    expired: "paid after their hold had run out: not charged, or refunded",
    cancelled: "changed their mind",
  };
  print(`What became of ${withCommas(buyers)} buyers, after ${seconds.toFixed(1)} s:\n`);
  for (const [outcome, people] of [...tally].sort(([, a], [, b]) => b - a)) {
    print(`  ${withCommas(people).padStart(6)}  ${reasons[outcome] ?? outcome}`);
  }
  const left = stock.quantity_on_hand;
  print(`\n  ${units} lanterns = ${sold} sold + ${left} left, ${stock.quantity_reserved} held`);
  const adds = sold + left === units && stock.quantity_reserved === 0 && sold <= units;
  print(`  oversold: ${Math.max(0, sold - units)}${adds ? "" : "  ← this does not add up"}\n`);
  const holds = reportFindings(await server.verify());
  return adds && holds;
}

/** Late payments go back, and the last holds end by themselves. */
async function untilNothingIsHeld(
  client: Client,
): Promise<{ quantity_on_hand: number; quantity_reserved: number }> {
  const giveUpAt = performance.now() + 60_000;
  for (;;) {
    const stock = await mustSucceed(client.get(`/v1/stock/${store_id}/${sku}`));
    if (stock.quantity_reserved === 0 || performance.now() > giveUpAt) return stock;
    await pause(500);
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
