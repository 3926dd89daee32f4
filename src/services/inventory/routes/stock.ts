import type { FastifyReply, FastifyRequest } from "fastify";
import { Type } from "typebox";
import { maxQuantity } from "../../../kernel/limits.ts";
import { pageOf, pageQuery } from "../../../platform/http/page.ts";
import { ProblemError, sendProblem } from "../../../platform/http/problem.ts";
import type { HttpServer } from "../../../platform/http/server.ts";
import {
  AdjustBody,
  AdjustmentView,
  CountBody,
  inventoryProblems,
  MovementView,
  Sku,
  StockAddress,
  type StockKey,
  StockView,
  StoreId,
} from "../contract/index.ts";
import type { Inventory } from "../inventory.ts";
import { UnknownCursor } from "../queries.ts";
import { sendRefusal } from "./refusal.ts";

export function registerStockRoutes(app: HttpServer, inventory: Inventory): void {
  app.get(
    "/v1/stock",
    {
      config: { scope: "read" },
      schema: {
        summary: "List stock",
        querystring: Type.Object({
          sku: Type.Optional(Sku),
          store_id: Type.Optional(StoreId),
          below: Type.Optional(
            Type.Integer({
              minimum: 0,
              maximum: maxQuantity,
              description: "Only what has less than this available.",
            }),
          ),
          ...pageQuery,
        }),
        response: { 200: pageOf(StockView) },
      },
    },
    async ({ query: { after, limit, ...filter } }) => onKnownPage(inventory.listStock(filter, after, limit)),
  );

  app.get(
    "/v1/stock/:store_id/:sku",
    {
      config: { scope: "read" },
      schema: {
        summary: "Read the stock of one SKU in one store, now or as of a moment of the past",
        params: StockAddress,
        querystring: Type.Object({ at: Type.Optional(Type.String({ format: "date-time" })) }),
        response: { 200: StockView },
      },
    },
    async ({ params, query: { at } }, reply) => {
      const record = await inventory.stock(params, at === undefined ? undefined : momentOf(at));
      if (record !== undefined) return reply.header("etag", `"${record.version}"`).send(record);
      if (at === undefined) return sendNoRecord(reply, params);
      return sendProblem(reply, inventoryProblems, "inventory.before_horizon", {
        detail: `${params.sku} had no stock record in ${params.store_id} at ${at}.`,
      });
    },
  );

  app.get(
    "/v1/stock/:store_id/:sku/movements",
    {
      config: { scope: "read" },
      schema: {
        summary: "List what happened to the stock of one SKU, oldest first",
        params: StockAddress,
        querystring: Type.Object(pageQuery),
        response: { 200: pageOf(MovementView) },
      },
    },
    async ({ params, query: { after, limit } }, reply) => {
      const page = await onKnownPage(inventory.listMovements(params, after, limit));
      const isThere = page.items.length > 0 || (await inventory.stock(params)) !== undefined;
      return isThere ? reply.send(page) : sendNoRecord(reply, params);
    },
  );

  app.put(
    "/v1/stock/:store_id/:sku",
    {
      config: { scope: "stock" },
      schema: {
        summary: "Set a count",
        description: "With If-Match the count is set only if the stock is still at that version.",
        params: StockAddress,
        headers: Type.Object({
          "if-match": Type.Optional(Type.String({ description: "An ETag of this stock." })),
        }),
        body: CountBody,
        response: { 200: StockView },
      },
    },
    async (request, reply) => {
      const expected_version = expectedVersion(request.headers["if-match"]);
      const { quantity_on_hand, reason, force = false } = request.body;
      const answer = await inventory.submit({
        type: "CountStock",
        ...request.params,
        quantity_on_hand,
        reason,
        force,
        actor: actorOf(request),
        ...(expected_version === undefined ? {} : { expected_version }),
        traceparent: request.trace.traceparent,
      });
      if (!answer.accepted) return sendRefusal(reply, answer.refusal);
      return reply.header("etag", `"${answer.subject.version}"`).send(answer.subject);
    },
  );

  app.post(
    "/v1/stock/adjustments",
    {
      config: { scope: "stock" },
      schema: {
        summary: "Change stock by signed quantities, once for each id, all lines or none",
        body: AdjustBody,
        response: { 200: AdjustmentView },
      },
    },
    async (request, reply) => {
      const { id, lines, reason, force = false } = request.body;
      const answer = await inventory.submit({
        type: "AdjustStock",
        adjustment_id: id,
        lines,
        reason,
        force,
        actor: actorOf(request),
        traceparent: request.trace.traceparent,
      });
      return answer.accepted ? reply.send(answer.subject) : sendRefusal(reply, answer.refusal);
    },
  );
}

function sendNoRecord(reply: FastifyReply, { sku, store_id }: StockKey): FastifyReply {
  return sendProblem(reply, inventoryProblems, "inventory.stock_not_found", {
    detail: `${sku} has no stock record in ${store_id}.`,
  });
}

function actorOf(request: FastifyRequest): string {
  return request.apiKey?.name ?? "anonymous";
}

function expectedVersion(ifMatch: string | undefined): number | undefined {
  if (ifMatch === undefined) return undefined;
  const version = /^"(\d{1,15})"$/.exec(ifMatch)?.[1];
  if (version !== undefined) return Number(version);
  throw invalid("if-match", 'must be an ETag that this stock was read with, such as "7"');
}

/** The format takes leap seconds, which a Date cannot be. */
function momentOf(at: string): Date {
  const moment = new Date(at);
  if (Number.isNaN(moment.getTime())) throw invalid("at", "must be a moment that a clock can show");
  return moment;
}

async function onKnownPage<Page>(page: Promise<Page>): Promise<Page> {
  try {
    return await page;
  } catch (error) {
    if (error instanceof UnknownCursor) throw invalid("after", "must be the `next` of the page before");
    throw error;
  }
}

function invalid(field: string, message: string): ProblemError {
  return new ProblemError("request.invalid", {
    detail: `${field} ${message}.`,
    errors: [{ field, message }],
  });
}
