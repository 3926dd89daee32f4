import { randomUUID } from "node:crypto";
import type { FastifyReply } from "fastify";
import { Type } from "typebox";
import { sendProblem } from "../../../platform/http/problem.ts";
import type { HttpServer } from "../../../platform/http/server.ts";
import {
  ClientId,
  CommitBody,
  ExtendBody,
  type InventoryReply,
  inventoryProblems,
  ReleaseBody,
  type Reservation,
  ReservationResult,
  ReservationView,
  ReserveBatchBody,
  ReserveBody,
} from "../contract/index.ts";
import type { Inventory } from "../inventory.ts";
import { sendRefusal } from "./refusal.ts";

const reservationParams = Type.Object({ id: ClientId });
const IdempotencyKey = Type.Object({ "idempotency-key": Type.Optional(ClientId) });

export function registerReservationRoutes(app: HttpServer, inventory: Inventory): void {
  app.put(
    "/v1/reservations/:id",
    {
      config: { scope: "sell" },
      schema: {
        summary: "Hold stock, all lines or none",
        description:
          "The same id and lines answer the same, other lines on an open hold amend it by the difference. " +
          "With an order_id, the order takes over an open hold that has none yet, and it is held anew from now. " +
          "A refusal leaves no trace: the same id may try again. What our carts and orders hold is theirs: it can be " +
          "neither amended nor confirmed nor committed here.",
        params: reservationParams,
        body: ReserveBody,
        response: { 200: ReservationView, 201: ReservationView },
      },
    },
    async (request, reply) => {
      const answer = await inventory.submit({
        type: "ReserveStock",
        reservation_id: request.params.id,
        ...request.body,
        traceparent: request.trace.traceparent,
      });
      return sendReservation(reply, answer);
    },
  );

  app.post(
    "/v1/reservations/batch",
    {
      config: { scope: "sell" },
      schema: {
        summary: "Hold stock for many at once, each its own all or nothing",
        body: ReserveBatchBody,
        response: { 200: Type.Object({ results: Type.Array(ReservationResult) }) },
      },
    },
    async (request) => {
      const { traceparent } = request.trace;
      const answers = await Promise.all(
        request.body.reservations.map(({ id: reservation_id, ...rest }) =>
          inventory.submit({ type: "ReserveStock", reservation_id, ...rest, traceparent }),
        ),
      );
      return { results: answers.map((answer, i) => resultOf(request.body.reservations[i]!.id, answer)) };
    },
  );

  app.get(
    "/v1/reservations/:id",
    {
      config: { scope: "read" },
      schema: {
        summary: "Read a reservation",
        params: reservationParams,
        response: { 200: ReservationView },
      },
    },
    async ({ params: { id } }, reply) => {
      const reservation = await inventory.reservation(id);
      if (reservation !== undefined) return reply.send(reservation);
      return sendProblem(reply, inventoryProblems, "inventory.reservation_not_found", {
        detail: `There is no reservation ${id}.`,
      });
    },
  );

  app.post(
    "/v1/reservations/:id/confirm",
    {
      config: { scope: "sell" },
      schema: {
        summary: "Confirm a hold, which then expires no more",
        params: reservationParams,
        response: { 200: ReservationView },
      },
    },
    async (request, reply) => {
      const { traceparent } = request.trace;
      const reservation_id = request.params.id;
      return sendReservation(
        reply,
        await inventory.submit({ type: "ConfirmReservation", reservation_id, traceparent }),
        200,
      );
    },
  );

  app.post(
    "/v1/reservations/:id/commit",
    {
      config: { scope: "sell" },
      schema: {
        summary: "Take the stock: it has left the store",
        description:
          "Without lines, all that the reservation still holds. With lines, a part; an Idempotency-Key makes sending " +
          "the same part again safe, and with another part it is refused.",
        params: reservationParams,
        headers: IdempotencyKey,
        body: CommitBody,
        response: { 200: ReservationView },
      },
    },
    async (request, reply) => {
      const { lines } = request.body;
      // A part needs a name even if the client gives none: the batch that carries it out may have to be run again.
      const key = request.headers["idempotency-key"] ?? (lines === undefined ? undefined : randomUUID());
      const answer = await inventory.submit({
        type: "CommitReservation",
        reservation_id: request.params.id,
        ...(key === undefined ? {} : { key }),
        ...(lines === undefined ? {} : { lines }),
        traceparent: request.trace.traceparent,
      });
      return sendReservation(reply, answer, 200);
    },
  );

  app.post(
    "/v1/reservations/:id/release",
    {
      config: { scope: "sell" },
      schema: {
        summary: "Let a hold go",
        description:
          "Of an id that is not known yet, it makes sure that a reserve that comes later is refused.",
        params: reservationParams,
        body: ReleaseBody,
        response: { 200: ReservationView },
      },
    },
    async (request, reply) => {
      const answer = await inventory.submit({
        type: "ReleaseReservation",
        reservation_id: request.params.id,
        reason: request.body.reason ?? "cancelled",
        traceparent: request.trace.traceparent,
      });
      return sendReservation(reply, answer, 200);
    },
  );

  app.post(
    "/v1/reservations/:id/extend",
    {
      config: { scope: "sell" },
      schema: {
        summary: "Hold it for so many seconds from now",
        description: "With an Idempotency-Key, sending it again does not extend it again.",
        params: reservationParams,
        headers: IdempotencyKey,
        body: ExtendBody,
        response: { 200: ReservationView },
      },
    },
    async (request, reply) => {
      const key = request.headers["idempotency-key"];
      const answer = await inventory.submit({
        type: "ExtendReservation",
        reservation_id: request.params.id,
        ttl_seconds: request.body.ttl_seconds,
        ...(key === undefined ? {} : { key }),
        traceparent: request.trace.traceparent,
      });
      return sendReservation(reply, answer, 200);
    },
  );
}

type ReservationReply = InventoryReply<"ReserveStock">;

function sendReservation(reply: FastifyReply, answer: ReservationReply, status?: number): FastifyReply {
  if (!answer.accepted) return sendRefusal(reply, answer.refusal);
  return reply.code(status ?? (answer.created ? 201 : 200)).send(answer.subject satisfies Reservation);
}

function resultOf(id: string, answer: ReservationReply) {
  if (answer.accepted) return { id, status: answer.subject.status };
  return { id, status: "refused", ...answer.refusal };
}
