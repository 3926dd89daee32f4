import type { FastifyReply } from "fastify";
import { sendProblem } from "../../../platform/http/problem.ts";
import { type InventoryRefusal, inventoryProblems } from "../contract/index.ts";

export function sendRefusal(reply: FastifyReply, { code, detail, lines }: InventoryRefusal): FastifyReply {
  return sendProblem(reply, inventoryProblems, code, { detail, ...(lines && { lines }) });
}
