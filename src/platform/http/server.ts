import type { IncomingMessage, Server, ServerResponse } from "node:http";
import rateLimit from "@fastify/rate-limit";
import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import { type FastifyBaseLogger, type FastifyInstance, fastify, LogController } from "fastify";
import type { Logger } from "../telemetry/logger.ts";
import type { Registry } from "../telemetry/metrics.ts";
import { bearerToken } from "./auth.ts";
import { answerClientError } from "./client-error.ts";
import { handleError } from "./error-handler.ts";
import { type Probe, registerHealth } from "./health.ts";
import { acceptJsonBodies } from "./json-body.ts";
import type { Keys } from "./keyring.ts";
import { answerUnknownRoutes } from "./not-found.ts";
import { describeRoutes, serveDocs } from "./openapi.ts";
import { ProblemError, platformProblems, sendProblem } from "./problem.ts";
import { acceptedRequestId, createRequestIds, decorateRequests } from "./request-context.ts";
import { guardRoutes, isApi, observeRoutes } from "./routes.ts";
import { createValidatorCompiler } from "./validation.ts";

export interface HttpServerOptions {
  readonly version: string;
  /** The AsyncAPI document of the events, as it is served. */
  readonly asyncApi?: string;
  readonly keys: Keys;
  readonly logger: Logger;
  readonly registry: Registry;
  readonly probes: readonly Probe[];
  readonly bodyLimitBytes: number;
  readonly rateLimitPerMinute: number | undefined;
}

export type HttpServer = FastifyInstance<
  Server,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>;

// A SKU of 128 characters takes up to four bytes for each, and three characters for each byte when encoded.
const maxParamLength = 128 * 4 * 3;
const requestTimeoutMs = 30_000;

/** The server with everything that is the same for all services; they register their routes on it. */
export async function createHttpServer(options: HttpServerOptions): Promise<HttpServer> {
  const nextRequestId = createRequestIds();
  const app: HttpServer = fastify({
    loggerInstance: options.logger as FastifyBaseLogger,
    // A child logger and two lines for each request cost more than the routing itself; see observeRoutes.
    childLoggerFactory: (logger) => logger,
    logController: new LogController({ disableRequestLogging: true }),
    genReqId: (request) => acceptedRequestId(request) ?? nextRequestId(),
    bodyLimit: options.bodyLimitBytes,
    requestTimeout: requestTimeoutMs,
    return503OnClosing: false,
    routerOptions: { maxParamLength },
    frameworkErrors: (error, request, reply) => {
      reply.header("x-request-id", request.id);
      handleError(error, request, reply);
    },
    clientErrorHandler: (error, socket) => answerClientError(error, socket, nextRequestId()),
  });

  app.setValidatorCompiler(createValidatorCompiler());
  app.setErrorHandler(handleError);
  acceptJsonBodies(app);
  decorateRequests(app);
  answerEveryRequest(app);
  answerUnknownRoutes(app);
  await describeRoutes(app, options.version);
  if (options.rateLimitPerMinute !== undefined)
    await limitRate(app, options.keys, options.rateLimitPerMinute);
  guardRoutes(app, options.keys);
  observeRoutes(app, options.logger, options.registry);
  await serveDocs(app, options.asyncApi);
  registerHealth(app, options.probes, options.registry);
  return app;
}

function answerEveryRequest(app: HttpServer): void {
  let stopping = false;
  app.addHook("preClose", (done) => {
    stopping = true;
    done();
  });
  app.addHook("onRequest", (request, reply, done) => {
    reply.header("x-request-id", request.id);
    reply.header("x-content-type-options", "nosniff");
    if (!stopping || request.url === "/livez") return done();
    sendProblem(reply, platformProblems, "platform.stopping", {
      detail: "Send the request to another instance.",
    });
  });
}

async function limitRate(app: HttpServer, keys: Keys, perMinute: number): Promise<void> {
  await app.register(rateLimit, {
    max: perMinute,
    timeWindow: 60_000,
    allowList: (request) => !isApi(request.routeOptions.url),
    keyGenerator: (request) => {
      const token = bearerToken(request);
      return (token && keys.find(token)?.id) || request.ip;
    },
    errorResponseBuilder: (_request, { max }) =>
      new ProblemError("request.rate_limited", { detail: `At most ${max} requests a minute are accepted.` }),
  });
}
