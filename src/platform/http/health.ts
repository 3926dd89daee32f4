import type { FastifyInstance } from "fastify";
import { within } from "../deadline.ts";
import type { Registry } from "../telemetry/metrics.ts";
import { platformProblems, sendProblem } from "./problem.ts";

/**
 * One dependency: `check` resolves, with details if it has any, when the dependency works. With `Degraded` it says that
 * the dependency does not, but that nobody has to go elsewhere for that: what needs it is kept, and done later.
 */
export interface Probe {
  readonly name: string;
  // biome-ignore lint/suspicious/noConfusingVoidType: a probe without details ends without a return.
  check(): Promise<object | void>;
}

export class Degraded {
  readonly details: object;

  constructor(details: object) {
    this.details = details;
  }
}

interface DependencyHealth {
  readonly status: "up" | "degraded" | "down";
  readonly latency_ms: number;
  readonly details?: object;
  readonly error?: string;
}

const probeTimeoutMs = 2_000;

/**
 * What orchestrators and Prometheus ask for. All of it is open, since they rarely carry keys: it holds states,
 * latencies and figures, and of an error only its code, never its message.
 */
export function registerHealth(app: FastifyInstance, probes: readonly Probe[], registry: Registry): void {
  // Touches no dependency: a restart would not mend one.
  app.get("/livez", () => ({ status: "ok" }));

  app.get("/readyz", async (_request, reply) => {
    const down = Object.entries(await examine(app, probes)).filter(([, { status }]) => status === "down");
    if (down.length === 0) return { status: "ok" };
    const dependencies = down.map(([name]) => name);
    return sendProblem(reply, platformProblems, "platform.unavailable", {
      detail: `Not ready: ${dependencies.join(", ")}.`,
      dependencies,
    });
  });

  app.get("/health", async (_request, reply) => {
    const dependencies = await examine(app, probes);
    const statuses = new Set(Object.values(dependencies).map(({ status }) => status));
    if (statuses.has("down")) return reply.code(503).send({ status: "down", dependencies });
    return reply.send({ status: statuses.has("degraded") ? "degraded" : "ok", dependencies });
  });

  app.get("/metrics", async (_request, reply) => {
    reply.header("content-type", registry.contentType);
    return registry.metrics();
  });
}

async function examine(
  app: FastifyInstance,
  probes: readonly Probe[],
): Promise<Record<string, DependencyHealth>> {
  const results = await Promise.all(
    probes.map(async (probe) => [probe.name, await examineOne(app, probe)] as const),
  );
  return Object.fromEntries(results);
}

async function examineOne(app: FastifyInstance, probe: Probe): Promise<DependencyHealth> {
  const startedAt = performance.now();
  const latency = () => Math.round((performance.now() - startedAt) * 10) / 10;
  try {
    const details = await within(probeTimeoutMs, "the health check", probe.check());
    if (details instanceof Degraded) {
      return { status: "degraded", latency_ms: latency(), details: details.details };
    }
    return { status: "up", latency_ms: latency(), ...(details ? { details } : {}) };
  } catch (error) {
    app.log.warn({ err: error, dependency: probe.name }, "health check failed");
    const { code } = error as { code?: unknown };
    return { status: "down", latency_ms: latency(), error: typeof code === "string" ? code : "failed" };
  }
}
