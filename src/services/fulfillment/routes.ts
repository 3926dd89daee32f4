import type { FastifyReply } from "fastify";
import { Type } from "typebox";
import { pageOf, pageQuery } from "../../platform/http/page.ts";
import { ProblemError, sendProblem } from "../../platform/http/problem.ts";
import type { HttpServer } from "../../platform/http/server.ts";
import { ClientId } from "../inventory/contract/index.ts";
import {
  FailBody,
  type FulfillmentReply,
  fulfillmentProblems,
  ShipBody,
  ShipmentAddress,
  ShipmentView,
  SimulatedCarrierSettings,
  shipmentStatuses,
} from "./contract.ts";
import type { Fulfillment } from "./fulfillment.ts";
import { UnknownCursor } from "./queries.ts";

export function registerFulfillmentRoutes(app: HttpServer, fulfillment: Fulfillment): void {
  registerQuestions(app, fulfillment);
  registerDeeds(app, fulfillment);
  registerSimulatedCarrier(app, fulfillment);
}

function registerQuestions(app: HttpServer, fulfillment: Fulfillment): void {
  app.get(
    "/v1/shipments",
    {
      config: { scope: "read" },
      schema: {
        summary: "List shipments",
        querystring: Type.Object({ status: Type.Optional(Type.Enum([...shipmentStatuses])), ...pageQuery }),
        response: { 200: pageOf(ShipmentView) },
      },
    },
    async ({ query: { status, after, limit } }) =>
      onKnownPage(fulfillment.listShipments(status, after, limit)),
  );

  app.get(
    "/v1/shipments/:id",
    {
      config: { scope: "read" },
      schema: {
        summary: "Read an order's shipment",
        params: ShipmentAddress,
        response: { 200: ShipmentView },
      },
    },
    async ({ params: { id } }, reply) => {
      const shipment = await fulfillment.shipment(id);
      if (shipment !== undefined) return reply.send(shipment);
      return sendProblem(reply, fulfillmentProblems, "fulfillment.shipment_not_found", {
        detail: `There is no shipment ${id}.`,
      });
    },
  );
}

function registerDeeds(app: HttpServer, fulfillment: Fulfillment): void {
  app.post(
    "/v1/shipments/:id/ship",
    {
      config: { scope: "stock" },
      schema: {
        summary: "Say that it has left",
        description:
          "Without lines, all that is left. With lines, a part; an Idempotency-Key makes sending the same part again " +
          "safe, and with another part it is refused.",
        params: ShipmentAddress,
        headers: Type.Object({ "idempotency-key": Type.Optional(ClientId) }),
        body: ShipBody,
        response: { 200: ShipmentView },
      },
    },
    async (request, reply) => {
      const { lines, carrier = "manual", tracking = null } = request.body;
      const key = request.headers["idempotency-key"];
      const answer = await fulfillment.submit({
        type: "Ship",
        shipment_id: request.params.id,
        carrier,
        tracking,
        ...(lines === undefined ? {} : { lines }),
        ...(key === undefined ? {} : { key }),
        traceparent: request.trace.traceparent,
      });
      return sendShipment(reply, answer);
    },
  );

  app.post(
    "/v1/shipments/:id/fail",
    {
      config: { scope: "stock" },
      schema: {
        summary: "Say that it will never leave",
        description: "Only while nothing has left; the order is then cancelled and the money given back.",
        params: ShipmentAddress,
        body: FailBody,
        response: { 200: ShipmentView },
      },
    },
    async (request, reply) => {
      const answer = await fulfillment.submit({
        type: "FailShipment",
        shipment_id: request.params.id,
        detail: request.body.detail,
        traceparent: request.trace.traceparent,
      });
      return sendShipment(reply, answer);
    },
  );
}

function registerSimulatedCarrier(app: HttpServer, { simulated }: Fulfillment): void {
  const url = "/v1/shipments/carriers/simulated";
  const response = { 200: SimulatedCarrierSettings };
  app.get(
    url,
    { config: { scope: "admin" }, schema: { summary: "How the simulated carrier behaves", response } },
    async (_request, reply) => (simulated ? reply.send(simulated.settings) : sendUnused(reply)),
  );
  app.put(
    url,
    {
      config: { scope: "admin" },
      schema: {
        summary: "Make the simulated carrier slow, picky or unreachable",
        description: "Holds in this process until it ends.",
        body: SimulatedCarrierSettings,
        response,
      },
    },
    async (request, reply) => {
      if (simulated === undefined) return sendUnused(reply);
      simulated.settings = request.body;
      return reply.send(simulated.settings);
    },
  );
}

function sendShipment(reply: FastifyReply, answer: FulfillmentReply): FastifyReply {
  if (answer.accepted) return reply.send(answer.shipment);
  const { code, detail, lines } = answer.refusal;
  return sendProblem(reply, fulfillmentProblems, code, { detail, ...(lines && { lines }) });
}

function sendUnused(reply: FastifyReply): FastifyReply {
  return sendProblem(reply, fulfillmentProblems, "fulfillment.carrier_not_used", {
    detail: "HOLDFAST_CARRIER names another one.",
  });
}

async function onKnownPage<Page>(page: Promise<Page>): Promise<Page> {
  try {
    return await page;
  } catch (error) {
    if (!(error instanceof UnknownCursor)) throw error;
    const message = "must be the `next` of an earlier page";
    throw new ProblemError("request.invalid", {
      detail: `after ${message}.`,
      errors: [{ field: "after", message }],
    });
  }
}
