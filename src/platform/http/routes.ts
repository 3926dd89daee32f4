import type { FastifyInstance, onResponseHookHandler, RouteOptions } from "fastify";
import type { Logger } from "../telemetry/logger.ts";
import { createRequestDuration, type Registry } from "../telemetry/metrics.ts";
import { requireScope } from "./auth.ts";
import type { Keys } from "./keyring.ts";
import { closeSchema } from "./validation.ts";

/** The routes that need an API key; all others are open. */
export function isApi(url: string | undefined): boolean {
  return url?.startsWith("/v1/") ?? false;
}

/** A route under /v1 that does not say who may call it cannot be registered. */
export function guardRoutes(app: FastifyInstance, keys: Keys): void {
  app.addHook("onRoute", (route) => {
    if (!isApi(route.url)) return;
    const scope = route.config?.scope;
    if (scope === undefined) throw new Error(`${route.method} ${route.url} must declare config.scope`);
    if (scope !== "none") route.onRequest = [route.onRequest ?? [], requireScope(keys, scope)].flat();
    try {
      route.schema = closeSchema(route.schema ?? {}, takesAnyBody(route) ? "any" : "none");
    } catch (error) {
      throw new Error(`${route.method} ${route.url}: ${(error as Error).message}`, { cause: error });
    }
  });
}

/** A body that is kept as it was sent is checked by whoever has asked for it; that of a GET is never read. */
function takesAnyBody({ method, config }: RouteOptions): boolean {
  return config?.rawBody === true || [method].flat().every((name) => name === "GET" || name === "HEAD");
}

export function observeRoutes(app: FastifyInstance, logger: Logger, registry: Registry): void {
  const duration = createRequestDuration(registry);
  const isLogged = logger.isLevelEnabled("debug");

  const observe =
    (route: string): onResponseHookHandler =>
    (request, reply, done) => {
      const labels = { method: request.method, route, status: reply.statusCode };
      duration.observe(labels, reply.elapsedTime / 1_000);
      if (isLogged) {
        logger.debug(
          { ...labels, request_id: request.id, duration_ms: reply.elapsedTime },
          "request completed",
        );
      }
      done();
    };

  app.addHook("onRoute", (route) => {
    route.onResponse = [route.onResponse ?? [], observe(route.url)].flat();
  });
}
