import type { FastifyReply } from "fastify";
import { Type } from "typebox";
import { pageOf, pageQuery } from "../../platform/http/page.ts";
import { Prefer, preferredWait } from "../../platform/http/prefer.ts";
import { ProblemError, sendProblem } from "../../platform/http/problem.ts";
import type { HttpServer } from "../../platform/http/server.ts";
import { ClientId } from "../inventory/contract/index.ts";
import {
  CancelOrderBody,
  CreateOrderBody,
  type Order,
  type OrderRefusal,
  type OrderShown,
  OrderStatusSchema,
  OrderView,
  orderProblems,
  TimelineView,
} from "./contract.ts";
import { alreadyShipped } from "./decide.ts";
import { hasEnded } from "./order.ts";
import type { Orders } from "./orders.ts";
import { merge } from "./pricing.ts";
import { UnknownCursor } from "./queries.ts";

const params = Type.Object({ id: ClientId });
export function registerOrderRoutes(app: HttpServer, orders: Orders): void {
  app.post(
    "/v1/orders",
    {
      config: { scope: "sell" },
      schema: {
        summary: "Place an order",
        description:
          "The Idempotency-Key names the order for ever: sent again, the same order is answered. 202 means that it is " +
          "durable and on its way. With `Prefer: wait=10` the answer is 201 with the order as it ended, or 202 when it " +
          "has not ended by then.",
        headers: Type.Object({ "idempotency-key": Type.Optional(ClientId), prefer: Prefer }),
        body: CreateOrderBody,
        response: { 201: OrderView, 202: OrderView },
      },
    },
    async (request, reply) => {
      const key = request.headers["idempotency-key"];
      if (key === undefined) return sendRefusal(reply, keyMissing);
      const answer = await orders.create(key, request.body, request.trace.traceparent);
      if (!answer.accepted) return sendRefusal(reply, answer.refusal);
      const [order] = answer.orders as [Order];
      request.orderId = order.id;
      reply.header("location", `/v1/orders/${order.id}`);
      const seconds = preferredWait(request, reply);
      if (seconds === undefined) return reply.code(202).send(shown(order));
      const ended = await orders.until(order, hasEnded, seconds);
      return ended === undefined
        ? reply.code(202).send(shown((await orders.order(order.id)) ?? order))
        : reply.code(201).send(shown(ended));
    },
  );

  app.get(
    "/v1/orders",
    {
      config: { scope: "read" },
      schema: {
        summary: "List orders, the newest first",
        querystring: Type.Object({
          status: Type.Optional(OrderStatusSchema),
          customer_id: Type.Optional(ClientId),
          from: Type.Optional(Type.String({ format: "date-time", description: "Created then or later." })),
          to: Type.Optional(Type.String({ format: "date-time", description: "Created before then." })),
          ...pageQuery,
        }),
        response: { 200: pageOf(OrderView) },
      },
    },
    async ({ query: { after, limit, from, to, ...filter } }) => {
      const span = { ...(from && { from: momentOf("from", from) }), ...(to && { to: momentOf("to", to) }) };
      try {
        const { items, next } = await orders.list({ ...filter, ...span }, after, limit);
        return { items: items.map(shown), next };
      } catch (error) {
        if (error instanceof UnknownCursor) throw invalid("after", "must be the `next` of the page before");
        throw error;
      }
    },
  );

  app.get(
    "/v1/orders/:id",
    {
      config: { scope: "read" },
      schema: { summary: "Read an order", params, response: { 200: OrderView } },
    },
    async ({ params: { id } }, reply) => {
      const order = await orders.order(id);
      return order === undefined ? sendRefusal(reply, notFound(id)) : reply.send(shown(order));
    },
  );

  app.get(
    "/v1/orders/:id/timeline",
    {
      config: { scope: "read" },
      schema: {
        summary: "Read what happened to an order",
        description: "Every event of every service about it, by time, and how it stands in one sentence.",
        params,
        response: { 200: TimelineView },
      },
    },
    async ({ params: { id } }, reply) => {
      const timeline = await orders.timeline(id);
      return timeline === undefined ? sendRefusal(reply, notFound(id)) : reply.send(timeline);
    },
  );

  app.post(
    "/v1/orders/:id/cancel",
    {
      config: { scope: "sell" },
      schema: {
        summary: "Cancel an order",
        description:
          "200 when it is cancelled, now or before. An order that is paid can be cancelled as long as nothing was " +
          "shipped, and that is for fulfilment to say: 202 means that it was asked. With `Prefer: wait=10` its answer is " +
          "waited for.",
        params,
        headers: Type.Object({ prefer: Prefer }),
        body: CancelOrderBody,
        response: { 200: OrderView, 202: OrderView },
      },
    },
    async (request, reply) => {
      const { reason = "cancelled" } = request.body;
      request.orderId = request.params.id;
      const answer = await orders.cancel(request.params.id, reason, request.trace.traceparent);
      if (!answer.accepted) return sendRefusal(reply, answer.refusal);
      const [order] = answer.orders as [Order];
      const seconds = preferredWait(request, reply) ?? 0;
      const decided = await orders.until(order, isDecided, seconds);
      if (decided === undefined) return reply.code(202).send(shown(order));
      return decided.status === "cancelled"
        ? reply.send(shown(decided))
        : sendRefusal(reply, alreadyShipped(decided));
    },
  );
}

function isDecided(order: Order): boolean {
  return order.cancellation_requested === null;
}

function shown(order: Order): OrderShown {
  const { payment, shipped, shipped_parts, lines, ...rest } = order;
  const left = shipped ? lines : shipped_parts.flatMap((part) => part.lines);
  return { ...rest, lines, payment: { status: payment }, shipped_lines: merge(left) };
}

function sendRefusal(reply: FastifyReply, { code, detail, errors }: OrderRefusal): FastifyReply {
  return sendProblem(reply, orderProblems, code, { detail, ...(errors && { errors }) });
}

const keyMissing: OrderRefusal = {
  code: "orders.idempotency_key_missing",
  detail: "Send an Idempotency-Key of your own choice, the same whenever you send this order again.",
};

function notFound(id: string): OrderRefusal {
  return { code: "orders.not_found", detail: `There is no order ${id}.` };
}

/** The format takes leap seconds, which a Date cannot be. */
function momentOf(field: string, text: string): Date {
  const moment = new Date(text);
  if (Number.isNaN(moment.getTime())) throw invalid(field, "must be a moment that a clock can show");
  return moment;
}

function invalid(field: string, message: string): ProblemError {
  return new ProblemError("request.invalid", {
    detail: `${field} ${message}.`,
    errors: [{ field, message }],
  });
}
