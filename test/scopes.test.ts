import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, expect, it } from "vitest";
import { createKey } from "../src/platform/http/api-keys.ts";
import { scopes } from "../src/platform/http/scopes.ts";
import { createPool } from "../src/platform/postgres/pool.ts";
import { useTestDatabase } from "../src/testing/database.ts";
import { ServerProcess } from "./server-process.ts";

const mayRead = ["read", "sell", "stock", "admin"];
/** No key is asked for: the route knows its callers otherwise. */
const anybody = ["anybody"];
const maySell = ["sell", "admin"];
const mayChangeStock = ["stock", "admin"];
const mayOperate = ["admin"];

/** Which keys may call each route. A new route is not served to anybody before it is decided here. */
const callers: Readonly<Record<string, readonly string[]>> = {
  "PUT /v1/products/{id}": mayChangeStock,
  "GET /v1/products/{id}": mayRead,
  "GET /v1/stock": mayRead,
  "POST /v1/stock/adjustments": mayChangeStock,
  "GET /v1/stock/{store_id}/{sku}": mayRead,
  "PUT /v1/stock/{store_id}/{sku}": mayChangeStock,
  "GET /v1/stock/{store_id}/{sku}/movements": mayRead,
  "GET /v1/reservations/{id}": mayRead,
  "PUT /v1/reservations/{id}": maySell,
  "POST /v1/reservations/batch": maySell,
  "POST /v1/reservations/{id}/commit": maySell,
  "POST /v1/reservations/{id}/confirm": maySell,
  "POST /v1/reservations/{id}/extend": maySell,
  "POST /v1/reservations/{id}/release": maySell,
  "POST /v1/orders": maySell,
  "GET /v1/orders": mayRead,
  "GET /v1/orders/{id}": mayRead,
  "GET /v1/orders/{id}/timeline": mayRead,
  "POST /v1/orders/{id}/cancel": maySell,
  "GET /v1/payments/{id}": mayRead,
  "POST /v1/payments/webhooks/{gateway}": anybody,
  "GET /v1/payments/gateways/simulated": mayOperate,
  "PUT /v1/payments/gateways/simulated": mayOperate,
  "GET /v1/shipments": mayRead,
  "GET /v1/shipments/{id}": mayRead,
  "POST /v1/shipments/{id}/ship": mayChangeStock,
  "POST /v1/shipments/{id}/fail": mayChangeStock,
  "GET /v1/shipments/carriers/simulated": mayOperate,
  "PUT /v1/shipments/carriers/simulated": mayOperate,
  "PUT /v1/carts/{id}": maySell,
  "GET /v1/carts/{id}": mayRead,
  "DELETE /v1/carts/{id}": maySell,
  "POST /v1/carts/{id}/checkout": maySell,
  "GET /v1/availability": mayRead,
  "GET /v1/availability/stream": mayRead,
  "GET /v1/events": mayRead,
  "GET /v1/consumers": mayRead,
  "POST /v1/consumers/{group}/replay": mayOperate,
  "GET /v1/dead-letters": mayRead,
  "POST /v1/dead-letters/{id}/retry": mayOperate,
  "DELETE /v1/dead-letters/{id}": mayOperate,
};

const database = useTestDatabase();
const tokens = new Map<string, string>();
let server: ServerProcess;

beforeAll(async () => {
  const settings = { HOLDFAST_DATABASE_URL: database.url, HOLDFAST_LOG_LEVEL: "error" };
  server = await ServerProcess.start(settings);
  const pool = createPool(database.url, { max: 1, name: "test" });
  for (const scope of scopes) {
    const { token } = await createKey(pool, { name: scope, scopes: [scope] });
    tokens.set(scope, token);
  }
  await pool.end();
  // A server that is open until now rereads its keys by and by; one that starts knows them.
  await server.stop();
  server = await ServerProcess.start(settings);
});
afterAll(() => server?.stop());

it("every route of the OpenAPI document is in the table", async () => {
  const { body } = await server.ask("GET", "/openapi.json");
  const routes = Object.entries<object>(body.paths).flatMap(([path, operations]) =>
    Object.keys(operations).map((method) => `${method.toUpperCase()} ${path}`),
  );
  expect(routes.sort()).toEqual(Object.keys(callers).sort());
});

it("the OpenAPI document is the one in the reference", async () => {
  const { body } = await server.ask("GET", "/openapi.json");
  expect(body).toEqual(JSON.parse(await readFile("docs/reference/openapi.json", "utf8")));
});

it.each(Object.entries(callers))("%s is for the keys %j", async (route, permitted) => {
  if (permitted === anybody) return expect([401, 403]).not.toContain((await ask(route)).status);
  for (const [name, token] of tokens) {
    const answer = await ask(route, token);
    if (permitted.includes(name)) expect([401, 403], name).not.toContain(answer.status);
    else expect(answer, name).toEqual({ status: 403, code: "auth.insufficient_scope" });
  }
  expect(await ask(route)).toEqual({ status: 401, code: "auth.missing_key" });
});

/** Of an answer that goes on for ever, the beginning tells enough. */
async function ask(route: string, token?: string): Promise<{ status: number; code: string | undefined }> {
  const [method, path] = route.replace(/\{\w+\}/g, "any").split(" ") as [string, string];
  const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const response = await fetch(server.url + path, { method, headers });
  if (response.headers.get("content-type")?.startsWith("application/problem+json")) {
    const { code } = (await response.json()) as { code: string };
    return { status: response.status, code };
  }
  await response.body?.cancel();
  return { status: response.status, code: undefined };
}
