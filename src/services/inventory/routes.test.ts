import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createHoldfast, type Holdfast } from "../../holdfast.ts";
import { maxQuantity } from "../../kernel/limits.ts";
import { encodeCursor } from "../../kernel/page.ts";
import { createPool, type Pool } from "../../platform/postgres/pool.ts";
import { createLogger } from "../../platform/telemetry/logger.ts";
import { useTestDatabase } from "../../testing/database.ts";
import { startServer, type TestServer } from "../../testing/http-server.ts";
import type { Line } from "./contract.ts";

const database = useTestDatabase();
let engine: Holdfast;
let server: TestServer;
let pool: Pool;

beforeAll(async () => {
  engine = await createHoldfast({
    databaseUrl: database.url,
    lowStockThreshold: 2,
    logger: createLogger("silent"),
  });
  pool = createPool(database.url, { max: 2, name: "test" });
  server = await startServer(
    (app) => {
      for (const service of engine.services) service.registerRoutes(app);
    },
    { bodyLimitBytes: 1_048_576 },
  );
});
afterAll(async () => {
  await server.app.close();
  await engine.close();
  await pool.end();
});

// ---- asking --------------------------------------------------------------------------------------------------------

interface Request {
  readonly method: string;
  readonly path: string;
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
}

const json = { "content-type": "application/json" };

function send({ method, path, body, headers }: Request) {
  const content = body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) };
  return server.call(path, { method, headers: { ...(body === undefined ? {} : json), ...headers }, ...content });
}

const get = (path: string) => send({ method: "GET", path });
const put = (path: string, body: unknown, headers: Record<string, string> = {}) =>
  send({ method: "PUT", path, body, headers });
const post = (path: string, body?: unknown, headers: Record<string, string> = {}) =>
  send({ method: "POST", path, body, headers });

let named = 0;
const fresh = (kind: string) => `${kind}-${++named}`;

/** A new SKU with so many on hand in the store `main`. */
async function stocked(quantity: number, sku = fresh("sku")): Promise<string> {
  await engine.putProduct(fresh("product"), { name: sku, skus: [{ sku, price_minor: 100, currency: "EUR" }] });
  if (quantity > 0) await engine.count({ store_id: "main", sku }, quantity, { reason: "found" });
  return sku;
}

/** A new reservation of so many of a SKU. */
async function held(sku: string, quantity: number): Promise<string> {
  const id = fresh("hold");
  expect(await engine.reserve(id, [line(sku, quantity)])).toMatchObject({ accepted: true });
  return id;
}

function line(sku: string, quantity: number, store_id = "main"): Line {
  return { store_id, sku, quantity };
}

const stockPath = (sku: string, store_id = "main") =>
  `/v1/stock/${encodeURIComponent(store_id)}/${encodeURIComponent(sku)}`;

/** Every change is in a log, and what is not there verify would find. */
async function changes(): Promise<number> {
  const { rows } = await pool.query(
    "select (select count(*) from inventory.log) + (select count(*) from catalog.log) as count",
  );
  return rows[0].count;
}

async function eventsAbout(subject: string, type: string): Promise<unknown[]> {
  const { rows } = await pool.query(
    `select event -> 'data' as data from inventory.log, json_array_elements(events::json) as event
     where event ->> 'subject' = $1 and event ->> 'type' = $2 order by position`,
    [subject, type],
  );
  return rows.map(({ data }) => data);
}

/** Asks, and sees a problem document and nothing changed. */
async function expectProblem(request: Request, status: number, code: string, field?: string) {
  const before = await changes();
  const answer = await send(request);
  expect([answer.status, answer.body.code]).toEqual([status, code]);
  expect(answer.headers.get("content-type")).toMatch(/^application\/problem\+json/);
  expect(answer.body).toMatchObject({ type: `https://holdfast.dev/problems/${code}`, status });
  expect(answer.body.detail).not.toBe("");
  if (field !== undefined) {
    expect(answer.body.errors.map((error: { field: string }) => error.field)).toContain(field);
  }
  expect(await changes()).toBe(before);
  return answer.body;
}

const invalid = (request: Request, field: string) => expectProblem(request, 422, "request.invalid", field);

async function pages(path: string, limit: number) {
  const items: { version: number; sku: string }[] = [];
  let next: string | null = null;
  do {
    const { status, body } = await get(`${path}${path.includes("?") ? "&" : "?"}limit=${limit}${next ? `&after=${next}` : ""}`);
    expect(status).toBe(200);
    expect(body.items.length).toBeLessThanOrEqual(limit);
    items.push(...body.items);
    next = body.next;
  } while (next !== null);
  return items;
}

// ---- bad input -----------------------------------------------------------------------------------------------------

const tooLong = "x".repeat(129);
const aLine = line("some-sku", 1);

/** What can be wrong with text that names a SKU, a store or a reason. */
const wrongTexts: [string, unknown][] = [
  ["empty", ""],
  ["too long", "x".repeat(201)],
  ["with a control character", "a\u0000b"],
  ["with a line break", "a\nb"],
  ["with half a character", "a\ud800b"],
  ["a number", 7],
  ["null", null],
];

const wrongQuantities: [string, unknown][] = [
  ["zero", 0],
  ["negative", -1],
  ["text", "2"],
  ["a fraction", 1.5],
  ["beyond the maximum", maxQuantity + 1],
  ["enormous", 1e300],
  ["null", null],
];

const wrongIds: [string, unknown][] = [
  ["empty", ""],
  ["too long", "x".repeat(65)],
  ["with a space", "a b"],
  ["with a slash", "a/b"],
  ["beyond ASCII", "Größe"],
  ["a number", 7],
];

type Wrong = [what: string, body: unknown, field: string];

const wrongLines: Wrong[] = [
  ["no line", [], ""],
  ["too many lines", Array(2_001).fill(aLine), ""],
  ["no list of lines", aLine, ""],
  ["a line that is null", [null], ".0"],
  ["a line without SKU", [{ store_id: "main", quantity: 1 }], ".0.sku"],
  ["a line without store", [{ sku: "a", quantity: 1 }], ".0.store_id"],
  ["a line without quantity", [{ store_id: "main", sku: "a" }], ".0.quantity"],
  ["an unknown field in the second line", [aLine, { ...aLine, colour: "red" }], ".1.colour"],
  ["a SKU that is too long", [{ ...aLine, sku: tooLong }], ".0.sku"],
  ["a store that is too long", [{ ...aLine, store_id: tooLong }], ".0.store_id"],
  ...wrongTexts.map(([what, sku]): Wrong => [`a SKU that is ${what}`, [{ ...aLine, sku }], ".0.sku"]),
  ...wrongTexts.map(([what, store_id]): Wrong => [`a store that is ${what}`, [{ ...aLine, store_id }], ".0.store_id"]),
  ...wrongQuantities.map(([what, quantity]): Wrong => [`a quantity that is ${what}`, [{ ...aLine, quantity }], ".0.quantity"]),
];

function within(body: object, name: string, wrong: Wrong[], at = name): Wrong[] {
  return wrong.map(([what, value, field]) => [what, { ...body, [name]: value }, `${at}${field}`]);
}

function each(body: object, name: string, values: [string, unknown][]): Wrong[] {
  return values.map(([what, value]) => [`${name} ${what}`, { ...body, [name]: value }, name]);
}

const wrongTtls: [string, unknown][] = [...wrongQuantities, ["longer than a year", 31_536_001]];
