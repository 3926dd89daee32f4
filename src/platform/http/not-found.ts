import type { FastifyInstance } from "fastify";
import { platformProblems, sendProblem } from "./problem.ts";

/** Tells an address that does not exist (404) from one that exists for other methods (405 with Allow). */
export function answerUnknownRoutes(app: FastifyInstance): void {
  const routes: { method: string; pattern: RegExp }[] = [];

  app.addHook("onRoute", ({ method, url }) => {
    for (const name of [method].flat()) routes.push({ method: name, pattern: routePattern(url) });
  });

  app.setNotFoundHandler((request, reply) => {
    const [path = ""] = request.url.split("?", 1);
    const allowed = new Set(routes.filter(({ pattern }) => pattern.test(path)).map(({ method }) => method));
    if (allowed.size === 0) {
      return sendProblem(reply, platformProblems, "request.not_found", { detail: `There is no ${path}.` });
    }
    const allow = [...allowed].sort().join(", ");
    reply.header("allow", allow);
    return sendProblem(reply, platformProblems, "request.method_not_allowed", {
      detail: `${path} supports ${allow}.`,
    });
  });
}

function routePattern(url: string): RegExp {
  const source = url
    .replace(/[.+?^${}()|[\]\\]/g, "\\$&")
    .replace(/:\w+/g, "[^/]+")
    .replace(/\*/g, ".*");
  return new RegExp(`^${source}$`);
}
