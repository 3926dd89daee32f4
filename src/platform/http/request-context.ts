import { randomBytes } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { FastifyInstance } from "fastify";
import { continueTrace, type Trace } from "../telemetry/trace.ts";

const heldTrace = Symbol("trace");

declare module "fastify" {
  interface FastifyRequest {
    /** The trace that this request continues or starts; made when first asked for. */
    readonly trace: Trace;
    [heldTrace]: Trace | null;
  }
}

/** The caller's own id for the request, when it is fit for logs and headers. */
export function acceptedRequestId(request: IncomingMessage): string | undefined {
  const given = request.headers["x-request-id"];
  return typeof given === "string" && /^[A-Za-z0-9._~:-]{1,64}$/.test(given) ? given : undefined;
}

/** Unique by the random part of this server, cheap by the counter. */
export function createRequestIds(): () => string {
  const server = randomBytes(6).toString("base64url");
  let count = 0;
  return () => `${server}.${(count++).toString(36)}`;
}

export function decorateRequests(app: FastifyInstance): void {
  app.decorateRequest("apiKey", null);
  app.decorateRequest(heldTrace, null);
  app.decorateRequest("trace", {
    getter() {
      const given = this.headers.traceparent;
      this[heldTrace] ??= continueTrace(typeof given === "string" ? given : undefined);
      return this[heldTrace];
    },
  });
}
