import { once } from "node:events";
import { connect } from "node:net";
import { Type } from "typebox";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startServer, type TestServer } from "../../testing/http-server.ts";
import { InfrastructureError } from "../errors.ts";
import type { HttpServer } from "./server.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startServer(registerExamples);
});
afterAll(() => server.app.close());

const json = { "content-type": "application/json" };
const put = (body: string | Uint8Array<ArrayBuffer>, headers: Record<string, string> = json) =>
  server.call("/v1/things/t1", { method: "PUT", body, headers });
const line = { sku: "A", quantity: 1 };

function raw(text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = "";
    const socket = connect(Number(new URL(server.url).port), "127.0.0.1", () => socket.write(text));
    socket.on("data", (chunk) => {
      answer += chunk;
    });
    socket.on("end", () => resolve(answer));
    socket.on("error", reject);
  });
}

describe("bodies", () => {
  it("takes what the schema describes", async () => {
    const { status, body } = await put(JSON.stringify({ lines: [line, line] }));
    expect([status, body.lines]).toEqual([200, 2]);
  });

  it("names every wrong, missing and unknown field", async () => {
    const { status, headers, body } = await put(
      JSON.stringify({ lines: [{ sku: "A", quantity: "2" }, { quantity: 0 }], colour: "red" }),
    );
    expect(status).toBe(422);
    expect(headers.get("content-type")).toMatch(/^application\/problem\+json/);
    expect(body).toMatchObject({
      type: "https://holdfast.dev/problems/request.invalid",
      status: 422,
      code: "request.invalid",
      request_id: headers.get("x-request-id"),
    });
    expect(body.errors).toHaveLength(4);
    expect(body.errors).toEqual(
      expect.arrayContaining([
        { field: "colour", message: "is not known" },
        { field: "lines.0.quantity", message: "must be integer" },
        { field: "lines.1.sku", message: "is required" },
        { field: "lines.1.quantity", message: "must be >= 1" },
      ]),
    );
  });

  it("refuses a number that is written as a string", async () => {
    const { status, body } = await put(JSON.stringify({ lines: [{ sku: "A", quantity: "2" }] }));
    expect([status, body.errors]).toEqual([422, [{ field: "lines.0.quantity", message: "must be integer" }]]);
  });

  it("refuses an unknown field inside an array's object", async () => {
    const { status, body } = await put(JSON.stringify({ lines: [{ ...line, color: "red" }] }));
    expect([status, body.errors]).toEqual([422, [{ field: "lines.0.color", message: "is not known" }]]);
  });

  it.each([
    ["x", "must be an integer or a date-time"],
    [true, "must be an integer or a string"],
    [0, "must be <= -1 or must be >= 1"],
    ["", "must be an integer or a date-time"],
  ])("says of %j once what may stand there instead", async (from, message) => {
    const { status, body } = await put(JSON.stringify({ lines: [line], from }));
    expect([status, body.errors]).toEqual([422, [{ field: "from", message }]]);
  });

  it("names what is wrong inside of the branch that was meant", async () => {
    const { body } = await put(JSON.stringify({ lines: [line, { ...line, sku: ["A", ""] }], from: 0 }));
    expect(body.errors).toEqual([
      { field: "lines.1.sku.1", message: "must NOT have fewer than 1 characters" },
      { field: "from", message: "must be <= -1 or must be >= 1" },
    ]);
  });

  it("looks no further once a size limit is broken", async () => {
    const { status, body } = await put(JSON.stringify({ lines: Array(300).fill({}) }));
    expect([status, body.errors]).toEqual([
      422,
      [{ field: "lines", message: "must NOT have more than 5 items" }],
    ]);
  });

  it.each(["null", "[]", '"text"', "7"])("refuses %s where an object is wanted", async (text) => {
    expect(await put(text)).toMatchObject({
      status: 422,
      body: {
        detail: "In the body: body must be object.",
        errors: [{ field: "body", message: "must be object" }],
      },
    });
  });

  it("takes no body for an empty one, but not a body that says null", async () => {
    const release = (body?: string) =>
      server.call("/v1/things/t1/release", {
        method: "POST",
        headers: { "content-type": "application/json" },
        ...(body === undefined ? {} : { body }),
      });
    expect((await release()).status).toBe(200);
    expect((await release("null")).status).toBe(422);
  });

  it.each([
    ["broken JSON", '{"lines": ['],
    ["a repeated key", '{"lines": [], "lines": []}'],
    ["a key repeated under another spelling", '{"lines": [], "l\\u0069nes": []}'],
    ["a key repeated deep inside", '{"lines": [{"sku": "a:\\"b", "quantity": 1, "sku": "c"}]}'],
    ["a poisoned prototype", '{"lines": [], "__proto__": {"admin": true}}'],
    ["a poisoned constructor", '{"lines": [], "constructor": {"prototype": {"admin": true}}}'],
    ["bytes that are not UTF-8", Uint8Array.from([0x22, 0xff, 0xfe, 0x22])],
  ])("answers %s with 400", async (_what, text) => {
    const { status, body } = await put(text);
    expect([status, body.code]).toEqual([400, "request.malformed_json"]);
  });

  it("does not mistake colons and quotes inside strings for members", async () => {
    for (const sku of ['a:"b\\":{"c":1}', '3" pipe', "ends with \\"]) {
      expect((await put(JSON.stringify({ lines: [{ sku, quantity: 1 }], note: "x: y" }))).status, sku).toBe(
        200,
      );
    }
  });

  it("keeps a body as it was sent for the route that asks for it, and for no other", async () => {
    const body = '{ "a" : 1 }';
    const raw = await startServer((app) => {
      for (const rawBody of [true, undefined] as const) {
        const config = { scope: "none", ...(rawBody && { rawBody }) } as const;
        const schema = { body: Type.Object({ a: Type.Integer() }) };
        app.post(`/v1/${rawBody}`, { config, ...(!rawBody && { schema }) }, (request) => ({
          raw: request.rawBody?.toString() ?? null,
        }));
      }
    });
    const request = { method: "POST", body, headers: { "content-type": "application/json" } };
    expect((await raw.call("/v1/true", request)).body).toEqual({ raw: body });
    expect((await raw.call("/v1/undefined", request)).body).toEqual({ raw: null });
    await raw.app.close();
  });

  it("survives deep nesting", async () => {
    expect((await put("[".repeat(1_000) + "]".repeat(1_000))).status).toBe(422);
  });

  it("answers 413 to too much and 415 to anything that is not JSON", async () => {
    expect((await put(JSON.stringify({ note: "x".repeat(3_000) }))).body.code).toBe("request.body_too_large");
    for (const type of ["text/plain", "application/xml", "application/x-www-form-urlencoded", "nonsense"]) {
      const { status, body } = await put("{}", { "content-type": type });
      expect([status, body.code], type).toEqual([415, "request.unsupported_media_type"]);
    }
  });

  it.each([
    ["no body", {}],
    ["no body but a content type", { headers: json }],
    ["an empty object", { headers: json, body: "{}" }],
  ])("runs a route whose body is optional with %s", async (_what, init) => {
    const { status, body } = await server.call("/v1/things/t1/release", { method: "POST", ...init });
    expect([status, body]).toEqual([200, { body: {} }]);
  });

  it.each(["POST", "DELETE"])(
    "takes no body but an empty one where %s has no schema for it",
    async (method) => {
      const call = (body?: string) =>
        server.call("/v1/things/t1/forget", { method, headers: json, ...(body !== undefined && { body }) });
      for (const body of [undefined, "", "{}"]) expect(await call(body), body).toMatchObject({ status: 200 });
      expect(await call('{"surprise": 1}')).toMatchObject({
        status: 422,
        body: { errors: [{ field: "surprise", message: "is not known" }] },
      });
      for (const body of ["null", "[]", '"x"', "1"]) {
        expect(await call(body), body).toMatchObject({ status: 422, body: { errors: [{ field: "body" }] } });
      }
    },
  );

  it("names what is missing when a needed body is not sent", async () => {
    const { status, body } = await server.call("/v1/things/t1", { method: "PUT" });
    expect([status, body.errors]).toEqual([422, [{ field: "lines", message: "is required" }]]);
  });
});

describe("addresses", () => {
  it.each(["two words", "a/b", "Größe 42 %", "日本語", "😀".repeat(128)])("takes the SKU %s", async (sku) => {
    const { status, body } = await server.call(`/v1/stock/main/${encodeURIComponent(sku)}`);
    expect([status, body]).toEqual([200, { store_id: "main", sku }]);
  });

  it("answers malformed percent-encoding with 400 and overlong parts with 422", async () => {
    const malformed = await server.call("/v1/stock/main/%E0%A4%A");
    expect([malformed.status, malformed.body.code]).toEqual([400, "request.malformed"]);
    expect(malformed.headers.get("x-request-id")).toBe(malformed.body.request_id);
    expect((await server.call(`/v1/stock/main/${"x".repeat(2_000)}`)).body).toMatchObject({
      status: 422,
      code: "request.invalid",
      errors: [{ field: "params", message: "has a part that is longer than accepted" }],
    });
  });

  it("converts the query, fills defaults and refuses the rest", async () => {
    expect((await server.call("/v1/things?limit=10")).body).toEqual({ limit: 10 });
    expect((await server.call("/v1/things")).body).toEqual({ limit: 100 });
    for (const [query, field] of [
      ["limit=ten", "limit"],
      ["limit=", "limit"],
      ["limit=1.5", "limit"],
      ["limit=1&limit=2", "limit"],
      ["limt=10", "limt"],
    ]) {
      const { status, body } = await server.call(`/v1/things?${query}`);
      expect([status, body.errors[0].field], query).toEqual([422, field]);
    }
    expect((await server.call("/v1/stock/main/a?debug=1")).status).toBe(422);
  });

  it("tells unknown addresses from unsupported methods", async () => {
    const unknown = await server.call("/v1/nowhere");
    expect([unknown.status, unknown.body.code]).toEqual([404, "request.not_found"]);
    const wrong = await server.call("/v1/things/a%2Fb?x=1", { method: "DELETE" });
    expect([wrong.status, wrong.body.code]).toEqual([405, "request.method_not_allowed"]);
    expect(wrong.headers.get("allow")).toBe("PUT");
    expect((await server.call("/v1/things", { method: "POST" })).headers.get("allow")).toBe("GET, HEAD");
  });

  it("answers HEAD where it answers GET", async () => {
    const { status, body } = await server.call("/v1/things", { method: "HEAD" });
    expect([status, body]).toEqual([200, undefined]);
  });

  it("refuses to register a route under /v1 that has no scope", async () => {
    await expect(startServer((app) => app.get("/v1/open", () => "hello"))).rejects.toThrow(
      "GET /v1/open must declare config.scope",
    );
  });

  it("refuses to register a body whose lists have no limit", async () => {
    const schema = { body: Type.Object({ skus: Type.Array(Type.String()) }) };
    await expect(
      startServer((app) => app.post("/v1/many", { config: { scope: "sell" }, schema }, () => "")),
    ).rejects.toThrow("POST /v1/many: an array without maxItems");
  });
});

describe("requests", () => {
  it("keeps the caller's request id when it is harmless", async () => {
    const id = async (given: string) =>
      (await server.call("/v1/things", { headers: { "x-request-id": given } })).headers.get("x-request-id");
    expect(await id("order-7:retry.2~a_b")).toBe("order-7:retry.2~a_b");
    expect(await id("has spaces")).not.toBe("has spaces");
    expect(await id("x".repeat(65))).toHaveLength((await id("{}"))!.length);
  });

  it("continues the caller's trace", async () => {
    const trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    const headers = { ...json, traceparent: `00-${trace}-00f067aa0ba902b7-01` };
    expect((await put('{"lines":[]}', headers)).body.trace).toContain(trace);
    expect((await put('{"lines":[]}')).body.trace).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
  });

  it("counts and logs by route pattern, never by address", async () => {
    await server.call("/v1/stock/main/very-secret-sku");
    await server.call("/v1/stock/main/very-secret-sku", { method: "HEAD" });
    const metrics = await (await fetch(`${server.url}/metrics`)).text();
    const count = (method: string) =>
      new RegExp(`_count\\{method="${method}",route="/v1/stock/:store_id/:sku",status="200"\\} (\\d+)`).exec(
        metrics,
      );
    expect(Number(count("GET")?.[1])).toBeGreaterThan(0);
    expect(count("HEAD")?.[1]).toBe("1");
    expect(metrics).not.toContain("very-secret-sku");
    expect(server.log).toContainEqual(
      expect.objectContaining({ msg: "request completed", route: "/v1/stock/:store_id/:sku", status: 200 }),
    );
  });

  it("waits for a slow request, but not for ever", () => {
    expect(server.app.server.requestTimeout).toBe(30_000);
  });

  it("answers what is not even HTTP with a problem document", async () => {
    const nonsense = await raw("NONSENSE\r\n\r\n");
    expect(nonsense).toMatch(/^HTTP\/1\.1 400 Bad Request\r\nContent-Type: application\/problem\+json/);
    const overlong = await raw(`GET / HTTP/1.1\r\nHost: a\r\nX-Long: ${"x".repeat(20_000)}\r\n\r\n`);
    expect(overlong).toContain("HTTP/1.1 431 ");
    expect(JSON.parse(overlong.split("\r\n\r\n")[1]!)).toMatchObject({ code: "request.headers_too_large" });
  });
});

describe("failures", () => {
  it.each([
    ["defect", 500, "platform.internal", null],
    ["fatal", 500, "platform.internal", null],
    ["timeout", 503, "platform.unavailable", "7"],
    ["stopping", 503, "platform.stopping", "7"],
    ["overloaded", 503, "platform.overloaded", "7"],
    ["database", 503, "platform.unavailable", "1"],
  ])("answers %s with %i %s", async (how, expected, code, retryAfter) => {
    const { status, headers, body } = await server.call(`/v1/fail/${how}`);
    expect([status, body.code, headers.get("retry-after")]).toEqual([expected, code, retryAfter]);
    expect(JSON.stringify(body)).not.toMatch(/secret|10\.0\.0\.7|internal words/);
    const logged = server.log.filter((entry) => entry.request_id === body.request_id && entry.level === 50);
    expect(logged).toHaveLength(how === "overloaded" ? 0 : 1);
    if (how === "defect") {
      expect(logged[0]).toMatchObject({ err: { stack: expect.stringContaining("server.test.ts") } });
    }
  });

  it("answers 503 on open connections while it stops, then closes them", async () => {
    const slow = "GET /v1/slow HTTP/1.1\r\nHost: a\r\n\r\n";
    const stopping = await startServer((app) => {
      app.get("/v1/slow", { config: { scope: "read" } }, async () => {
        const nextRequest = once(app.server, "request");
        void app.close();
        await nextRequest;
        return {};
      });
      app.addHook("preClose", (done) => {
        socket.write(slow);
        done();
      });
    });
    const socket = connect(Number(new URL(stopping.url).port), "127.0.0.1");
    let answer = "";
    socket.on("data", (chunk) => {
      answer += chunk;
    });
    socket.write(slow);
    await new Promise((resolve) => socket.on("close", resolve));
    expect(answer).toMatch(/^HTTP\/1\.1 200 OK/);
    expect(answer).toContain('"code":"platform.stopping"');
  });
});

describe("rate limit", () => {
  it("answers 429 with Retry-After, and leaves health checks alone", async () => {
    const limited = await startServer(registerExamples, { rateLimitPerMinute: 2 });
    try {
      expect((await limited.call("/v1/things")).status).toBe(200);
      expect((await limited.call("/v1/things")).status).toBe(200);
      const refused = await limited.call("/v1/things");
      expect([refused.status, refused.body.code]).toEqual([429, "request.rate_limited"]);
      expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0);
      expect((await limited.call("/%761/things")).status).toBe(429);
      expect((await limited.call("/livez")).status).toBe(200);
    } finally {
      await limited.app.close();
    }
  });
});

function registerExamples(app: HttpServer): void {
  const sku = Type.String({ minLength: 1, maxLength: 128, pattern: "^.+$" });
  const line = Type.Object({
    sku: Type.Union([sku, Type.Array(Type.String({ minLength: 1 }), { maxItems: 5 })]),
    quantity: Type.Integer({ minimum: 1 }),
  });
  const from = Type.Union([
    Type.Integer({ maximum: -1 }),
    Type.Integer({ minimum: 1 }),
    Type.String({ format: "date-time" }),
  ]);
  app.put(
    "/v1/things/:id",
    {
      config: { scope: "sell" },
      schema: {
        params: Type.Object({ id: Type.String({ maxLength: 64 }) }),
        body: Type.Object({
          lines: Type.Array(line, { maxItems: 5 }),
          note: Type.Optional(Type.String()),
          from: Type.Optional(from),
        }),
      },
    },
    (request) => ({
      id: request.params.id,
      lines: request.body.lines.length,
      trace: request.trace.traceparent,
    }),
  );
  app.post(
    "/v1/things/:id/release",
    {
      config: { scope: "sell" },
      schema: {
        params: Type.Object({ id: Type.String() }),
        body: Type.Object({ reason: Type.Optional(Type.String()) }),
      },
    },
    (request) => ({ body: request.body }),
  );
  app.route({
    method: ["POST", "DELETE"],
    url: "/v1/things/:id/forget",
    config: { scope: "sell" },
    handler: () => ({}),
  });
  app.get(
    "/v1/stock/:store_id/:sku",
    {
      config: { scope: "read" },
      schema: { params: Type.Object({ store_id: Type.String(), sku: Type.String() }) },
    },
    (request) => request.params,
  );
  app.get(
    "/v1/things",
    {
      config: { scope: "read" },
      schema: {
        querystring: Type.Object({ limit: Type.Integer({ minimum: 1, maximum: 500, default: 100 }) }),
      },
    },
    (request) => ({ limit: request.query.limit }),
  );
  app.get("/v1/fail/:how", { config: { scope: "admin" } }, (request) => {
    const { how } = request.params as { how: string };
    if (how === "defect") throw new Error("the secret is 42");
    if (how === "database") throw Object.assign(new Error("connect to 10.0.0.7"), { code: "ECONNREFUSED" });
    const retryable = how !== "fatal";
    throw new InfrastructureError(`platform.${how}`, "internal words", { retryable, retryAfterSeconds: 7 });
  });
}
