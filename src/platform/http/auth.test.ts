import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { useTestDatabase } from "../../testing/database.ts";
import { startServer, type TestServer } from "../../testing/http-server.ts";
import { patience } from "../../testing/patience.ts";
import { migrate } from "../postgres/migrate.ts";
import { createPool, type Pool } from "../postgres/pool.ts";
import { createLogger } from "../telemetry/logger.ts";
import { apiKeyMigrations, countActiveKeys, createKey, listKeys, revokeKey } from "./api-keys.ts";
import { assertMayListen } from "./auth.ts";
import { Keyring } from "./keyring.ts";
import { type Scope, scopes } from "./scopes.ts";

const database = useTestDatabase();
const log = createLogger("silent");
let pool: Pool;
let keyring: Keyring;
let server: TestServer;

beforeAll(async () => {
  await migrate(database.url, [apiKeyMigrations]);
  pool = createPool(database.url, { max: 2, name: "auth-test" });
  keyring = await Keyring.open(pool, log);
  server = await serve(keyring);
});
afterAll(async () => {
  await server.app.close();
  keyring.close();
  await pool.end();
});

function serve(keys: Keyring): Promise<TestServer> {
  return startServer(
    (app) => {
      app.get("/v1/none", { config: { scope: "none" } }, () => ({ by: "anybody" }));
      for (const scope of scopes) {
        app.get(`/v1/${scope}`, { config: { scope } }, (request) => ({
          by: request.apiKey?.name ?? "anybody",
        }));
      }
    },
    { keys },
  );
}

/** What is read already may be of a moment before the key was made. */
async function untilKnown(token: string): Promise<void> {
  const isKnown = async () => {
    await keyring.refresh();
    return keyring.find(token) !== undefined;
  };
  await vi.waitUntil(isKnown, patience);
}

const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });
const unknownToken = `hf_${"x".repeat(43)}`;

describe("API keys", () => {
  it("are not needed until the first one exists, and then are", async () => {
    expect((await server.call("/v1/admin")).body).toEqual({ by: "anybody" });
    expect(keyring.required).toBe(false);
    const { token } = await createKey(pool, { name: "root", scopes: ["admin"] });
    await vi.waitUntil(() => keyring.required, patience);
    expect((await server.call("/v1/admin")).status).toBe(401);
    expect((await server.call("/v1/admin", bearer(token))).body).toEqual({ by: "root" });
  });

  it("are not asked for by a route that knows its callers otherwise", async () => {
    expect(keyring.required).toBe(true);
    expect(await server.call("/v1/none")).toMatchObject({ status: 200, body: { by: "anybody" } });
  });

  it("are stored as a hash, and listed by their prefix", async () => {
    const { key, token } = await createKey(pool, { name: "till", scopes: ["sell"] });
    expect(token).toMatch(/^hf_[A-Za-z0-9_-]{43}$/);
    expect(key).toMatchObject({
      name: "till",
      scopes: ["sell"],
      revoked_at: null,
      prefix: token.slice(0, 10),
    });
    expect(await listKeys(pool)).toContainEqual(key);
    const { rows } = await pool.query("select k::text as row from platform.api_keys k");
    expect(JSON.stringify(rows)).not.toContain(token);
  });

  it("are recognised although they were made a moment ago", async () => {
    const forgetful = await Keyring.open(pool, log);
    const other = await serve(forgetful);
    // It rereads no more by itself.
    forgetful.close();
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    const { token } = await createKey(pool, { name: "fresh", scopes: ["read"] });
    expect((await other.call("/v1/read", bearer(token))).body).toEqual({ by: "fresh" });
    await other.app.close();
  });

  it("stop working within seconds of their revocation", async () => {
    const { key, token } = await createKey(pool, { name: "lost", scopes: ["read"] });
    await untilKnown(token);
    expect((await server.call("/v1/read", bearer(token))).body).toEqual({ by: "lost" });
    const active = await countActiveKeys(pool);
    expect(await revokeKey(pool, key.id)).toBe(true);
    expect(await countActiveKeys(pool)).toBe(active - 1);
    await vi.waitUntil(() => keyring.find(token) === undefined, patience);
    expect((await server.call("/v1/read", bearer(token))).body.code).toBe("auth.invalid_key");
  });

  it("cannot be revoked when they do not exist", async () => {
    expect(await revokeKey(pool, "no such key")).toBe(false);
  });

  it("lock the door when the last one is revoked", async () => {
    await pool.query("update platform.api_keys set revoked_at = now()");
    const reopened = await Keyring.open(pool, log);
    expect(reopened.required).toBe(true);
    reopened.close();
    await pool.query("update platform.api_keys set revoked_at = null");
  });

  it("cannot be tried out at the database's expense", async () => {
    const query = vi.spyOn(pool, "query");
    const startedAt = performance.now();
    await Promise.all(
      Array.from({ length: 200 }, (_, index) =>
        server.call("/v1/read", bearer(unknownToken.slice(0, -3) + (100 + index))),
      ),
    );
    // Once a second, and the look that is due anyway; on a busy machine the requests take some seconds.
    const seconds = (performance.now() - startedAt) / 1_000;
    expect(query.mock.calls.length).toBeLessThanOrEqual(2 + 2 * Math.floor(seconds));
    query.mockRestore();
  });

  it("stay in force while the database cannot be reached", async () => {
    const { token } = await createKey(pool, { name: "steady", scopes: ["read"] });
    await untilKnown(token);
    const query = vi.spyOn(pool, "query").mockImplementation(() => {
      throw Object.assign(new Error("down"), { code: "ECONNREFUSED" });
    });
    await expect(keyring.refresh()).rejects.toThrow("down");
    expect((await server.call("/v1/read", bearer(token))).status).toBe(200);
    query.mockRestore();
  });
});

describe("scopes", () => {
  it.each<[Scope, Scope[]]>([
    ["read", ["read"]],
    ["sell", ["read", "sell"]],
    ["stock", ["read", "stock"]],
    ["admin", ["read", "sell", "stock", "admin"]],
  ])("%s permits %j", async (granted, permitted) => {
    const { token } = await createKey(pool, { name: granted, scopes: [granted] });
    await untilKnown(token);
    for (const scope of scopes) {
      for (const method of ["GET", "HEAD"]) {
        const { status, headers } = await server.call(`/v1/${scope}`, { method, ...bearer(token) });
        expect(status, `${method} ${scope}`).toBe(permitted.includes(scope) ? 200 : 403);
        if (status === 403) expect(headers.get("www-authenticate")).toContain(`scope="${scope}"`);
      }
    }
  });
});

describe("requests without a valid key", () => {
  it.each([
    ["no key", {}, "auth.missing_key"],
    ["another scheme", { authorization: "Basic cm9vdDpyb290" }, "auth.missing_key"],
    ["an unknown key", bearer(unknownToken).headers, "auth.invalid_key"],
    ["no token of ours", bearer("../../etc/passwd").headers, "auth.invalid_key"],
  ])("are refused with %s", async (_what, headers: Record<string, string>, code) => {
    for (const method of ["GET", "HEAD"]) {
      const answer = await server.call("/v1/read", { method, headers });
      expect(answer.status).toBe(401);
      expect(answer.headers.get("www-authenticate")).toMatch(/^Bearer realm="holdfast"/);
      if (method === "GET") expect(answer.body.code).toBe(code);
    }
  });
});

describe("assertMayListen", () => {
  it.each(["127.0.0.1", "127.1.2.3", "localhost", "::1"])("lets %s go without keys", (host) => {
    expect(() => assertMayListen(host, 0)).not.toThrow();
  });

  it.each(["0.0.0.0", "::", "10.0.0.5", "shop.example", "127.0.0.1.example.com"])(
    "asks for a key on %s",
    (host) => {
      expect(() => assertMayListen(host, 0)).toThrow("holdfast keys create NAME --scope admin");
      expect(() => assertMayListen(host, 1)).not.toThrow();
    },
  );
});
