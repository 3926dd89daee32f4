import { Client, inParallel, mustSucceed } from "../src/cli/demo/client.ts";
import { type Invoice, readInvoices } from "../src/cli/demo/invoices.ts";
import { type Retail, replayInvoices } from "../src/cli/demo/retail.ts";
import { query, store_id, withPostgres } from "./database.ts";
import { round, summary } from "./load.ts";
import type { Result } from "./result.ts";
import { withServer } from "./server.ts";

const connections = 128;
const linesPerDelivery = 2_000;

/**
 * A retailer's invoices as real orders over HTTP, as fast as it goes, until the last one has ended. The baseline only
 * reserves the same lines, over the same connections of the same server.
 */
export async function retail(say: (message: string) => void, args: readonly string[]): Promise<Result> {
  const [orders, products] = args;
  if (orders === undefined) throw new Error("Usage: npm run bench -- retail INVOICES.csv [PRODUCTS.csv]");
  const file: Retail = products === undefined ? { orders } : { orders, products };
  return withPostgres(async (postgres) => {
    const url = await postgres.createDatabase("retail");
    return withServer(url, async (port) => {
      const server = `http://127.0.0.1:${port}`;
      const replayed = await replayInvoices(server, file);
      const completed = replayed.byStatus.get("completed") ?? 0;
      say(`  ${replayed.orders} orders, ${replayed.lines} lines; ${completed} completed`);
      const negative = await query(url, "select 1 from inventory.stock where quantity_available < 0");
      const alone = await reserveAll(server, file);
      say(`  the same lines, reserved and no more: ${alone}/s`);

      const rate = replayed.orders / replayed.seconds;
      const { p50_ms, p99_ms } = summary([...replayed.answersMs], replayed.seconds);
      return {
        rate: Math.round(rate),
        lines_rate: Math.round(replayed.lines / replayed.seconds),
        p50_ms,
        p99_ms,
        baseline_rate: alone,
        ratio: round(rate / alone, 2),
        oversold: negative.length,
      };
    });
  });
}

async function reserveAll(server: string, { orders }: Retail): Promise<number> {
  const client = new Client(server, connections);
  try {
    const skus = await restock(client);
    const invoices: Invoice[] = [];
    for await (const entry of readInvoices(orders, (sku) => skus.has(sku))) {
      if ("item" in entry && entry.item.kind === "order") invoices.push(entry.item);
    }
    const startedAt = performance.now();
    await inParallel(invoices, connections, async ({ id, lines }) => {
      const body = { lines: lines.map((line) => ({ store_id, ...line })) };
      await mustSucceed(client.put(`/v1/reservations/alone-${id}`, body));
    });
    return Math.round(invoices.length / ((performance.now() - startedAt) / 1_000));
  } finally {
    client.close();
  }
}

/** More of everything than all invoices want. */
async function restock(client: Client): Promise<Set<string>> {
  const skus = new Set<string>();
  for (let next: string | null = ""; next !== null; ) {
    const after: string = next === "" ? "" : `&after=${encodeURIComponent(next)}`;
    const page = await mustSucceed(client.get(`/v1/stock?limit=1000${after}`));
    for (const { sku } of page.items) skus.add(sku);
    next = page.next;
  }
  const lines = [...skus].map((sku) => ({ store_id, sku, quantity: 10_000_000 }));
  for (let i = 0; i < lines.length; i += linesPerDelivery) {
    const delivery = {
      id: `restock-${i}`,
      reason: "benchmark",
      lines: lines.slice(i, i + linesPerDelivery),
    };
    await mustSucceed(client.post("/v1/stock/adjustments", delivery));
  }
  return skus;
}
