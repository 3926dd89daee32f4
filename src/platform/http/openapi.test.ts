import { Type } from "typebox";
import { afterAll, beforeAll, expect, it } from "vitest";
import { startServer, type TestServer } from "../../testing/http-server.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startServer((app) => {
    const line = Type.Object({ sku: Type.String(), quantity: Type.Integer() });
    const sell = { scope: "sell" } as const;
    app.put(
      "/v1/things/:id",
      { config: sell, schema: { body: Type.Object({ lines: Type.Array(line, { maxItems: 9 }) }) } },
      () => ({}),
    );
    const release = Type.Object({ reason: Type.Optional(Type.String()) });
    app.post("/v1/things/:id/release", { config: sell, schema: { body: release } }, () => ({}));
    app.post("/v1/things/:id/forget", { config: sell }, () => ({}));
  });
});
afterAll(() => server.app.close());

it("describes each operation with its scope, its closed body and its problems", async () => {
  const { status, body } = await server.call("/openapi.json");
  expect([status, body.openapi, body.info.version]).toEqual([200, "3.1.0", "1.2.3"]);
  const { put } = body.paths["/v1/things/{id}"];
  expect(put.security).toEqual([{ api_key: ["sell"] }]);
  expect(put.description).toBe("Requires an API key with the scope `sell`.");
  const schema = put.requestBody.content["application/json"].schema;
  expect([schema.additionalProperties, schema.properties.lines.items.additionalProperties]).toEqual([
    false,
    false,
  ]);
  expect(put.responses.default.content).toEqual({
    "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } },
  });
  expect(body.components.schemas.Problem.properties.code.type).toBe("string");
});

it("describes what a problem may have besides", async () => {
  const { properties, required } = (await server.call("/openapi.json")).body.components.schemas.Problem;
  expect(Object.keys(properties.lines.items.properties)).toEqual([
    "store_id",
    "sku",
    "requested",
    "available",
    "left",
  ]);
  expect(properties.lines.items.required).toEqual(["store_id", "sku", "requested"]);
  expect(properties.required_scope.enum).toEqual(["read", "sell", "stock", "admin"]);
  expect(required).not.toContain("lines");
});

it("tells a body that is needed from one that may be left out", async () => {
  const { paths } = (await server.call("/openapi.json")).body;
  expect(paths["/v1/things/{id}"].put.requestBody.required).toBe(true);
  expect(paths["/v1/things/{id}/release"].post.requestBody.required).toBe(false);
  expect(paths["/v1/things/{id}/forget"].post.requestBody).toBeUndefined();
});

it("leaves out what is no part of the API", async () => {
  const { body } = await server.call("/openapi.json");
  expect(Object.keys(body.paths).every((path) => path.startsWith("/v1/"))).toBe(true);
});

it("serves the document of the events where it has one, beside its own and not described in it", async () => {
  expect((await server.call("/asyncapi.json")).status).toBe(404);
  const asyncApi = '{"asyncapi":"3.0.0"}';
  const telling = await startServer(() => {}, { asyncApi });
  try {
    const { status, headers, body } = await telling.call("/asyncapi.json");
    expect([status, headers.get("content-type"), body]).toEqual([
      200,
      "application/json; charset=utf-8",
      JSON.parse(asyncApi),
    ]);
    expect((await telling.call("/openapi.json")).body.paths).toEqual({});
  } finally {
    await telling.app.close();
  }
});

it("serves a page that shows the document, scripts included, over plain http", async () => {
  const page = await fetch(`${server.url}/docs`);
  expect(page.headers.get("content-security-policy")).not.toContain("upgrade-insecure-requests");
  const scripts = [...(await page.text()).matchAll(/src="([^"]+\.js)"/g)].map(([, source]) => source!);
  expect(scripts.length).toBeGreaterThan(0);
  for (const source of scripts) {
    const script = await fetch(new URL(source, `${server.url}/docs/`));
    expect([script.status, (await script.text()).length > 0], source).toEqual([200, true]);
  }
});
