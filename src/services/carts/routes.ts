import type { FastifyReply } from "fastify";
import { Type } from "typebox";
import { Prefer, preferredWait } from "../../platform/http/prefer.ts";
import { sendProblem } from "../../platform/http/problem.ts";
import type { HttpServer } from "../../platform/http/server.ts";
import type { Carts } from "./carts.ts";
import {
  CartAddress,
  type CartRefusal,
  CartView,
  CheckOutBody,
  CheckoutView,
  cartProblems,
  PutCartBody,
} from "./contract.ts";
import { checkoutOf, viewOf } from "./view.ts";

export function registerCartRoutes(app: HttpServer, carts: Carts): void {
  registerCart(app, carts);
  registerCheckout(app, carts);
}

function registerCart(app: HttpServer, carts: Carts): void {
  app.put(
    "/v1/carts/:id",
    {
      config: { scope: "sell" },
      schema: {
        summary: "Put these lines into a cart, and no others",
        description:
          "Where carts hold, all lines are held or none: what is refused leaves the cart as it was before. 202 when " +
          "the stock has not answered yet. Every change holds the lines anew for their full time.",
        params: CartAddress,
        body: PutCartBody,
        response: { 200: CartView, 201: CartView, 202: CartView },
      },
    },
    async (request, reply) => {
      const { traceparent } = request.trace;
      const answer = await carts.put({ cart_id: request.params.id, ...request.body, traceparent });
      if (!answer.accepted) return sendRefusal(reply, answer.refusal);
      const status = answer.created ? 201 : 200;
      return reply.code(answer.pending ? 202 : status).send(viewOf(answer.cart));
    },
  );

  app.get(
    "/v1/carts/:id",
    {
      config: { scope: "read" },
      schema: { summary: "Read a cart", params: CartAddress, response: { 200: CartView } },
    },
    async ({ params: { id } }, reply) => {
      const cart = await carts.cart(id);
      if (cart !== undefined) return reply.send(viewOf(cart));
      return sendRefusal(reply, { code: "carts.not_found", detail: `There is no cart ${id}.` });
    },
  );

  app.delete(
    "/v1/carts/:id",
    {
      config: { scope: "sell" },
      schema: {
        summary: "Let a cart go, and what it holds",
        params: CartAddress,
        response: { 204: Type.Null({ description: "It is gone." }) },
      },
    },
    async (request, reply) => {
      const { traceparent } = request.trace;
      const answer = await carts.delete({ cart_id: request.params.id, traceparent });
      return answer.accepted ? reply.code(204).send(null) : sendRefusal(reply, answer.refusal);
    },
  );
}

function registerCheckout(app: HttpServer, carts: Carts): void {
  app.post(
    "/v1/carts/:id/checkout",
    {
      config: { scope: "sell" },
      schema: {
        summary: "Make a cart an order",
        description:
          "What the cart holds becomes the order's. A cart becomes one order only: sent again, this answers the same " +
          "one. `Prefer: wait=10` waits up to ten seconds for the order's end and then answers 201.",
        params: CartAddress,
        headers: Type.Object({ prefer: Prefer }),
        body: CheckOutBody,
        response: { 201: CheckoutView, 202: CheckoutView },
      },
    },
    async (request, reply) => {
      const { traceparent } = request.trace;
      const waitMs = (preferredWait(request, reply) ?? 0) * 1_000;
      const answer = await carts.checkOut(
        { cart_id: request.params.id, ...request.body, traceparent },
        waitMs,
      );
      if (!answer.accepted) return sendRefusal(reply, answer.refusal);
      const order = checkoutOf(answer.cart);
      request.orderId = order.id;
      return reply
        .code(waitMs > 0 && answer.isEnded ? 201 : 202)
        .header("location", `/v1/orders/${order.id}`)
        .send(order);
    },
  );
}

function sendRefusal(reply: FastifyReply, { code, detail, lines }: CartRefusal): FastifyReply {
  return sendProblem(reply, cartProblems, code, { detail, ...(lines && { lines }) });
}
