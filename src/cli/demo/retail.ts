import { withCommas } from "../../kernel/number.ts";
import { readCsv } from "../csv.ts";
import { nameColumns } from "../import/kind.ts";
import { CliError, note, print } from "../output.ts";
import { type Progress, showProgress } from "../progress.ts";
import { reportFindings } from "../verify.ts";
import { type Answer, Client, inParallel, mustSucceed } from "./client.ts";
import { type Invoice, type InvoiceLine, readInvoices } from "./invoices.ts";
import { withDemoServer } from "./server.ts";
import { Supply } from "./supply.ts";

export interface Retail {
  readonly orders: string;
  readonly products?: string;
  /** How much faster than it happened; absent: as fast as it goes. */
  readonly speed?: number;
}

/** What a replay came to. */
export interface Replayed {
  readonly orders: number;
  readonly lines: number;
  readonly seconds: number;
  readonly byStatus: ReadonlyMap<string, number>;
  readonly cancelled: number;
  readonly returned: number;
  readonly bad: number;
  /** Units on hand as each week began. */
  readonly curve: readonly number[];
  /** From each order's request to its acknowledgement. */
  readonly answersMs: readonly number[];
}

interface Product {
  readonly sku: string;
  readonly name: string;
  readonly price_minor: number;
}

const store_id = "main";
const requestsAtOnce = 128;
const linesPerDelivery = 2_000;
const badRowsShown = 10;

/** A retailer's invoices as real orders, through the API. Answers whether the proof at the end holds. */
export function retail(replay: Retail): Promise<boolean> {
  return withDemoServer({ HOLDFAST_MAILBOX_DEPTH: "100000" }, async (server) => {
    const replayed = await replayInvoices(server.url, replay);
    report(replayed);
    return reportFindings(await server.verify());
  });
}

export async function replayInvoices(url: string, replay: Retail): Promise<Replayed> {
  const client = new Client(url, requestsAtOnce);
  const progress = showProgress();
  try {
    return await new Replay(client, replay, progress).run();
  } finally {
    progress.clear();
    client.close();
  }
}

class Replay {
  private readonly client: Client;
  private readonly file: Retail;
  private readonly progress: Progress;
  private readonly supply = new Supply();
  private readonly recent = new Map<string, { id: string; lines: readonly InvoiceLine[] }>();
  private readonly curve: number[] = [];
  private readonly answersMs: number[] = [];
  private readonly tally = { orders: 0, lines: 0, cancelled: 0, returned: 0, bad: 0 };
  private startedAt = 0;
  private firstAt: number | undefined;
  private week = -1;

  constructor(client: Client, file: Retail, progress: Progress) {
    this.client = client;
    this.file = file;
    this.progress = progress;
  }

  async run(): Promise<Replayed> {
    const products = await readProducts(this.file);
    const isProduct = (sku: string) => products.has(sku);
    for await (const entry of readInvoices(this.file.orders, isProduct)) {
      if ("item" in entry) this.supply.expect(entry.item);
      else this.complain(entry.line, entry.problem);
    }
    await this.list([...products.values()]);

    this.startedAt = performance.now();
    await inParallel(this.invoices(isProduct), requestsAtOnce, (invoice) =>
      invoice.kind === "order" ? this.order(invoice) : this.takeBack(invoice),
    );
    const byStatus = await this.untilAllHaveEnded();
    const seconds = (performance.now() - this.startedAt) / 1_000;
    this.curve.push(await this.onHand());
    return { ...this.tally, seconds, byStatus, curve: this.curve, answersMs: this.answersMs };
  }

  private complain(line: number, problem: string): void {
    if (++this.tally.bad <= badRowsShown) {
      this.progress.clear();
      note(`line ${line}: ${problem}`);
    } else if (this.tally.bad === badRowsShown + 1) {
      note("… and more; they are counted.");
    }
  }

  private async list(products: readonly Product[]): Promise<void> {
    let listed = 0;
    await inParallel(products.entries(), requestsAtOnce, async ([i, { sku, name, price_minor }]) => {
      const content = { name, skus: [{ sku, price_minor, currency: "GBP" }] };
      await mustSucceed(this.client.put(`/v1/products/p${i}`, content));
      this.progress.show(`${withCommas(++listed)} products`);
    });
  }

  /** In time, with the week's delivery before its first invoice. */
  private async *invoices(isProduct: (sku: string) => boolean): AsyncGenerator<Invoice> {
    for await (const entry of readInvoices(this.file.orders, isProduct)) {
      if (!("item" in entry)) continue;
      const invoice = entry.item;
      await this.waitFor(invoice.at);
      const week = this.supply.weekOf(invoice.at);
      while (this.week < week) await this.deliver(++this.week);
      yield invoice;
    }
  }

  private async waitFor(at: Date): Promise<void> {
    this.firstAt ??= at.getTime();
    if (this.file.speed === undefined) return;
    const due = this.startedAt + (at.getTime() - this.firstAt) / this.file.speed;
    const early = due - performance.now();
    if (early > 1) await pause(early);
  }

  private async deliver(week: number): Promise<void> {
    if (week > 0) this.curve.push(await this.onHand());
    const lines = this.supply.deliveryOf(week).map((line) => ({ store_id, ...line }));
    for (let i = 0; i < lines.length; i += linesPerDelivery) {
      await mustSucceed(
        this.client.post("/v1/stock/adjustments", {
          id: `delivery-${week}-${i}`,
          reason: "delivery",
          lines: lines.slice(i, i + linesPerDelivery),
        }),
      );
    }
    if (week === 0) this.curve.push(await this.onHand());
  }

  private async order({ id, at, customer_id, lines }: Invoice): Promise<void> {
    const body = {
      customer_id,
      lines: lines.map((line) => ({ store_id, ...line })),
      payment: { token: "tok_ok" },
    };
    const askedAt = performance.now();
    const order = await this.insist(() =>
      this.client.post("/v1/orders", body, { "idempotency-key": `invoice-${id}` }),
    );
    this.answersMs.push(performance.now() - askedAt);
    this.recent.set(customer_id, { id: order.body.id, lines });
    this.tally.orders++;
    this.tally.lines += lines.length;
    const seconds = (performance.now() - this.startedAt) / 1_000;
    const perSecond = Math.round(this.tally.orders / seconds);
    this.progress.show(
      `${at.toISOString().slice(0, 10)}  ${withCommas(this.tally.orders)} orders, ${withCommas(this.tally.lines)} lines, ` +
        `${withCommas(perSecond)} orders/s`,
    );
  }

  /** The customer's last order as a whole is cancelled if that still can be; anything else has come back. */
  private async takeBack({ id, customer_id, lines }: Invoice): Promise<void> {
    const last = this.recent.get(customer_id);
    if (last !== undefined && isSame(last.lines, lines)) {
      const { status } = await this.client.post(`/v1/orders/${last.id}/cancel`, { reason: `invoice ${id}` });
      if (status === 200) {
        this.tally.cancelled++;
        return;
      }
    }
    await this.insist(() =>
      this.client.post("/v1/stock/adjustments", {
        id: `invoice-${id}`,
        reason: "returned",
        lines: lines.map((line) => ({ store_id, ...line })),
      }),
    );
    this.tally.returned++;
  }

  /** Too much at once is no refusal: the same again, a moment later. */
  private async insist(ask: () => Promise<Answer>): Promise<Answer> {
    for (;;) {
      const answer = await ask();
      if (answer.status < 300) return answer;
      if (answer.status !== 503) throw new Error(`answered ${answer.status}: ${JSON.stringify(answer.body)}`);
      await pause(1_000);
    }
  }

  private async untilAllHaveEnded(): Promise<Map<string, number>> {
    for (const status of ["pending", "reserved", "paid"]) {
      for (;;) {
        const { items } = await mustSucceed(this.client.get(`/v1/orders?status=${status}&limit=1`));
        if (items.length === 0) break;
        this.progress.show("waiting for the last orders to end");
        await pause(20);
      }
    }
    const byStatus = new Map<string, number>();
    await this.pages("/v1/orders", ({ status }) => byStatus.set(status, (byStatus.get(status) ?? 0) + 1));
    return byStatus;
  }

  private async onHand(): Promise<number> {
    let total = 0;
    await this.pages("/v1/stock", ({ quantity_on_hand }) => {
      total += quantity_on_hand;
    });
    return total;
  }

  // biome-ignore lint/suspicious/noExplicitAny: the callers know what they list.
  private async pages(path: string, each: (item: any) => void): Promise<void> {
    for (let next: string | null = ""; next !== null; ) {
      const after: string = next === "" ? "" : `&after=${encodeURIComponent(next)}`;
      const page = await mustSucceed(this.client.get(`${path}?limit=1000${after}`));
      page.items.forEach(each);
      next = page.next;
    }
  }
}

async function readProducts({ orders, products }: Retail): Promise<Map<string, Product>> {
  const found = new Map<string, Product>();
  const form = products === undefined ? invoiceColumns : ["sku", "name", "unit_price"];
  for await (const entries of nameColumns(readCsv(products ?? orders), [form])) {
    for (const entry of entries) {
      if (!("item" in entry)) continue;
      const { sku, name = sku, unit_price } = entry.item;
      const price_minor = Math.round(Number(unit_price) * 100);
      if (sku && price_minor >= 0) found.set(sku, { sku, name: name || sku, price_minor });
    }
  }
  if (found.size === 0) throw new CliError(`${products ?? orders} names no products.`);
  return found;
}

const invoiceColumns = ["invoice", "sku", "quantity", "at", "unit_price", "customer_id?", "country?"];

function isSame(some: readonly InvoiceLine[], others: readonly InvoiceLine[]): boolean {
  if (some.length !== others.length) return false;
  const quantities = new Map(some.map(({ sku, quantity }) => [sku, quantity]));
  return others.every(({ sku, quantity }) => quantities.get(sku) === quantity);
}

function report({ orders, lines, seconds, byStatus, cancelled, returned, bad, curve }: Replayed): void {
  print(`${withCommas(orders)} orders with ${withCommas(lines)} lines in ${seconds.toFixed(1)} s:`);
  print(
    `${withCommas(Math.round(orders / seconds))} orders/s, ${withCommas(Math.round(lines / seconds))} lines/s\n`,
  );
  for (const [status, some] of [...byStatus].sort(([, a], [, b]) => b - a)) {
    print(`  ${withCommas(some).padStart(8)}  ${status}`);
  }
  print(`  ${withCommas(cancelled).padStart(8)}  cancellations that came in time`);
  print(`  ${withCommas(returned).padStart(8)}  that came after shipping: the goods went back to the shelf`);
  print(`  ${withCommas(bad).padStart(8)}  rows that are no orders; the first of them are named above`);
  print(
    `\nUnits on hand, week by week: ${sparkline(curve)}  ${withCommas(curve[0] ?? 0)} → ${withCommas(curve.at(-1) ?? 0)}\n`,
  );
}

function sparkline(values: readonly number[]): string {
  const bars = "▁▂▃▄▅▆▇█";
  const highest = Math.max(1, ...values);
  return values.map((value) => bars[Math.min(7, Math.floor((value / highest) * 8))]).join("");
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
