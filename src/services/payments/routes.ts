import { Type } from "typebox";
import { sendProblem } from "../../platform/http/problem.ts";
import type { HttpServer } from "../../platform/http/server.ts";
import {
  GatewayName,
  PaymentId,
  PaymentView,
  paymentProblems,
  SimulationBody,
  SimulationView,
} from "./contract.ts";
import { calm } from "./gateways/simulated/gateway.ts";
import type { Payments } from "./payments.ts";

export function registerPaymentRoutes(app: HttpServer, payments: Payments): void {
  app.get(
    "/v1/payments/:id",
    {
      config: { scope: "read" },
      schema: {
        summary: "Read a payment, which has its order's id",
        params: Type.Object({ id: PaymentId }),
        response: { 200: PaymentView },
      },
    },
    async ({ params: { id } }, reply) => {
      const payment = await payments.payment(id);
      if (payment !== undefined) return reply.send(payment);
      return sendProblem(reply, paymentProblems, "payments.payment_not_found", {
        detail: `There is no payment ${id}.`,
      });
    },
  );

  app.post(
    "/v1/payments/webhooks/:gateway",
    {
      config: { scope: "none", rawBody: true },
      schema: {
        summary: "Take a webhook of the gateway",
        description: "Its signature takes the place of an API key.",
        params: Type.Object({ gateway: GatewayName }),
        response: { 202: Type.Object({}) },
      },
    },
    async ({ params: { gateway }, rawBody, headers }, reply) => {
      if (gateway !== payments.gateway) return sendUnknownGateway(gateway, reply);
      const answer = await payments.receiveWebhook(rawBody ?? Buffer.alloc(0), headers);
      // A gateway would send what is unknown here again and again, to no end.
      if (answer.accepted) return reply.code(202).send({});
      return sendProblem(reply, paymentProblems, answer.code, { detail: answer.detail });
    },
  );

  app.get(
    "/v1/payments/gateways/simulated",
    {
      config: { scope: "admin" },
      schema: { summary: "Read how the simulated gateway behaves", response: { 200: SimulationView } },
    },
    async (_request, reply) => {
      const simulation = payments.simulation();
      return simulation === undefined ? sendUnknownGateway("simulated", reply) : reply.send(simulation);
    },
  );

  app.put(
    "/v1/payments/gateways/simulated",
    {
      config: { scope: "admin" },
      schema: {
        summary: "Set how the simulated gateway behaves, in this process, until it ends",
        description: "What is left out is as it was at the start.",
        body: SimulationBody,
        response: { 200: SimulationView },
      },
    },
    async ({ body }, reply) => {
      if (payments.simulation() === undefined) return sendUnknownGateway("simulated", reply);
      const simulation = { ...calm, ...body };
      payments.simulate(simulation);
      return reply.send(simulation);
    },
  );
}

function sendUnknownGateway(gateway: string, reply: Parameters<typeof sendProblem>[0]) {
  return sendProblem(reply, paymentProblems, "payments.gateway_not_found", {
    detail: `Payments do not go through ${gateway}.`,
  });
}
