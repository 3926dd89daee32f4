import { tmpdir } from "node:os";
import { pino } from "pino";
import { expect, vi } from "vitest";
import { type RunningServer, startServer } from "../src/main.ts";
import { loadConfig } from "../src/platform/config.ts";
import { patience } from "../src/testing/patience.ts";

export interface Answer {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: each test knows what it asked for.
  readonly body: any;
}

export type LogLine = Record<string, unknown>;

/** Everything that `holdfast start` runs, within this process. */
export class WholeServer {
  /** What it has written to its log. */
  readonly log: LogLine[];
  private readonly running: RunningServer;

  private constructor(running: RunningServer, log: LogLine[]) {
    this.running = running;
    this.log = log;
  }

  static async start(databaseUrl: string, settings: Record<string, string> = {}): Promise<WholeServer> {
    const environment = { HOLDFAST_DATABASE_URL: databaseUrl, HOLDFAST_PORT: "0", ...settings };
    const log: LogLine[] = [];
    const formatters = { level: (level: string) => ({ level }) };
    const logger = pino({ level: "debug", formatters }, { write: (line) => log.push(JSON.parse(line)) });
    return new WholeServer(await startServer(loadConfig(environment, tmpdir()).config, logger), log);
  }

  get url(): string {
    return this.running.greeting.url;
  }

  stop(): Promise<void> {
    return this.running.stop();
  }

  async ask(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<Answer> {
    const json = body === undefined ? {} : { "content-type": "application/json" };
    const response = await fetch(this.url + path, {
      method,
      headers: { ...json, ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    const isJson = /json/.test(response.headers.get("content-type") ?? "");
    return { status: response.status, body: isJson ? JSON.parse(text) : text };
  }

  /** A SKU at 1,000 cents, and how many of it there are. */
  async stock(sku: string, quantity_on_hand: number): Promise<void> {
    const skus = [{ sku, price_minor: 1_000, currency: "EUR" }];
    const put = await this.ask("PUT", `/v1/products/${sku}`, { name: sku, skus });
    expect(put.status).toBeLessThan(300);
    // A product waits for the inventory no longer than a moment.
    await vi.waitFor(async () => {
      const count = { quantity_on_hand, reason: "delivery" };
      expect((await this.ask("PUT", `/v1/stock/main/${sku}`, count)).status).toBeLessThan(300);
    }, patience);
  }

  /** Places an order and waits until it has ended, unless `wait` is 0; answers with how it was answered at first. */
  async order(
    key: string,
    { sku, quantity = 1, token = "tok_ok", wait = 30, headers = {} }: WantedOrder,
  ): Promise<Answer> {
    const body = { customer_id: "ada", lines: [{ store_id: "main", sku, quantity }], payment: { token } };
    const preference = { "idempotency-key": key, prefer: `wait=${wait}` };
    const placed = await this.ask("POST", "/v1/orders", body, { ...preference, ...headers });
    if (placed.status !== 202 || wait === 0) return placed;
    return { status: placed.status, body: await this.ended(placed.body.id) };
  }

  /** The order once it has ended. */
  async ended(id: string): Promise<Answer["body"]> {
    return vi.waitFor(async () => {
      const { body } = await this.ask("GET", `/v1/orders/${id}`);
      expect(body).toMatchObject({ deadline: null });
      return body;
    }, patience);
  }
}

export interface WantedOrder {
  readonly sku: string;
  readonly quantity?: number;
  readonly token?: string;
  readonly wait?: number;
  readonly headers?: Record<string, string>;
}
