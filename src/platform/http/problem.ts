import type { FastifyReply } from "fastify";
import { Type } from "typebox";
import { scopes } from "./scopes.ts";

/** One kind of refusal: its code is the key in a `ProblemTable`, from which the errors reference is made. */
export interface ProblemType {
  readonly status: number;
  readonly title: string;
  readonly retryAfterSeconds?: number;
}

export type ProblemTable<Code extends string = string> = Readonly<Record<Code, ProblemType>>;

export interface FieldError {
  readonly field: string;
  readonly message: string;
}

/** What one occurrence adds to its type: the detail, and members of RFC 9457's extension kind (`lines`, …). */
export interface ProblemMembers {
  readonly detail: string;
  readonly errors?: readonly FieldError[];
  readonly [extension: string]: unknown;
}

export const problemTypeBase = "https://holdfast.dev/problems/";

export const platformProblems = {
  "request.malformed": { status: 400, title: "The request is not well-formed HTTP" },
  "request.malformed_json": { status: 400, title: "The body is not well-formed JSON" },
  "auth.missing_key": { status: 401, title: "An API key is required" },
  "auth.invalid_key": { status: 401, title: "The API key is unknown or revoked" },
  "auth.insufficient_scope": { status: 403, title: "The API key lacks the required scope" },
  "request.not_found": { status: 404, title: "Nothing is served at this address" },
  "request.method_not_allowed": { status: 405, title: "The address does not support this method" },
  "request.timeout": { status: 408, title: "The request took too long to arrive" },
  "request.body_too_large": { status: 413, title: "The body is larger than accepted" },
  "request.unsupported_media_type": { status: 415, title: "The body must be application/json" },
  "request.invalid": { status: 422, title: "The request has fields that are missing, unknown or wrong" },
  "request.rate_limited": { status: 429, title: "Too many requests" },
  "request.headers_too_large": { status: 431, title: "The headers are larger than accepted" },
  "platform.internal": { status: 500, title: "Something went wrong on the server" },
  "platform.overloaded": {
    status: 503,
    title: "More work is waiting than is accepted",
    retryAfterSeconds: 1,
  },
  "platform.unavailable": { status: 503, title: "A dependency cannot be reached", retryAfterSeconds: 1 },
  "platform.stopping": { status: 503, title: "The server is shutting down", retryAfterSeconds: 1 },
} as const satisfies ProblemTable;

export type PlatformProblem = keyof typeof platformProblems;

/** Answers with an RFC 9457 document; services call it with a table of their own. */
export function sendProblem<Code extends string>(
  reply: FastifyReply,
  table: ProblemTable<Code>,
  code: Code,
  members: ProblemMembers,
): FastifyReply {
  const { status, retryAfterSeconds } = table[code];
  if (retryAfterSeconds !== undefined && !reply.hasHeader("retry-after")) {
    reply.header("retry-after", retryAfterSeconds);
  }
  return reply
    .code(status)
    .header("content-type", "application/problem+json")
    .send(problemJson(table, code, reply.request.id, members));
}

export function problemJson<Code extends string>(
  table: ProblemTable<Code>,
  code: Code,
  requestId: string,
  members: ProblemMembers,
): string {
  const { status, title } = table[code];
  return JSON.stringify({
    type: problemTypeBase + code,
    title,
    status,
    code,
    ...members,
    request_id: requestId,
  });
}

/** A platform problem for the places that can only throw: parsers, plugins. Elsewhere call `sendProblem`. */
export class ProblemError extends Error {
  readonly code: PlatformProblem;
  readonly members: ProblemMembers;

  constructor(code: PlatformProblem, members: ProblemMembers) {
    super(members.detail);
    this.name = "ProblemError";
    this.code = code;
    this.members = members;
  }
}

export const problemSchema = Type.Object(
  {
    type: Type.String({ format: "uri", description: "Stable address of this kind of problem." }),
    title: Type.String(),
    status: Type.Integer(),
    code: Type.String({ description: "Stable code of this kind of problem, made for programs." }),
    detail: Type.String({ description: "What happened this time, made for people." }),
    request_id: Type.String({ description: "The request, as the server's log names it." }),
    errors: Type.Optional(
      Type.Array(
        Type.Object({
          field: Type.String({ description: "Dotted path of the field, such as `lines.0.quantity`." }),
          message: Type.String(),
        }),
      ),
    ),
    lines: Type.Optional(
      Type.Array(
        Type.Object({
          store_id: Type.String(),
          sku: Type.String(),
          requested: Type.Integer(),
          available: Type.Optional(Type.Integer({ description: "What the stock has, or can hold." })),
          left: Type.Optional(
            Type.Integer({ description: "Instead of `available`: what of the shipment has not left yet." }),
          ),
        }),
        { description: "Those that are in the way." },
      ),
    ),
    required_scope: Type.Optional(
      Type.Enum([...scopes], { description: "What the API key would have to have." }),
    ),
  },
  { $id: "Problem", additionalProperties: true, description: "An RFC 9457 problem document." },
);
