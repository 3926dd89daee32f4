import { randomBytes } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { FastifyInstance, FastifyRequest, onRequestHookHandler } from "fastify";
import { continueTrace, type Trace } from "../telemetry/trace.ts";
import type { RequestTracer } from "../telemetry/tracer.ts";
import { isApi } from "./routes.ts";

const heldTrace = Symbol("trace");

declare module "fastify" {
  interface FastifyRequest {
    /** The trace that this request continues or starts; made when first asked for. */
    readonly trace: Trace;
    /** The order that it is about, once that is known. */
    orderId: string | null;
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
  app.decorateRequest("orderId", null);
  app.decorateRequest("trace", {
    getter() {
      this[heldTrace] ??= continueTrace(givenTraceparent(this));
      return this[heldTrace];
    },
  });
}

/** Shows each request to the API as a step, above all that it causes; for the routes that are registered from now on. */
export function traceRequests(app: FastifyInstance, tracer: RequestTracer): void {
  app.addHook("onRoute", (route) => {
    if (!isApi(route.url)) return;
    const begin: onRequestHookHandler = (request, reply, done) => {
      const step = tracer.serve(givenTraceparent(request), request.method, route.url);
      request[heldTrace] = step;
      // Comes in any case, where Fastify's onResponse is left out when the caller goes away first.
      reply.raw.once("close", () => {
        step.end(reply.raw.headersSent ? reply.raw.statusCode : undefined, request.orderId);
      });
      done();
    };
    // Before the key is looked at: a request that is turned away was a request as well.
    route.onRequest = [begin, route.onRequest ?? []].flat();
  });
}

function givenTraceparent(request: FastifyRequest): string | undefined {
  const given = request.headers.traceparent;
  return typeof given === "string" ? given : undefined;
}
