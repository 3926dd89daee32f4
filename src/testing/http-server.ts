import { pino } from "pino";
import type { Keys } from "../platform/http/keyring.ts";
import { createHttpServer, type HttpServer, type HttpServerOptions } from "../platform/http/server.ts";
import { createRegistry } from "../platform/telemetry/metrics.ts";

const openKeys: Keys = { required: false, find: () => undefined, search: async () => undefined };

export interface TestServer {
  readonly app: HttpServer;
  readonly log: Record<string, unknown>[];
  readonly url: string;
  /** Sends a request and reads the answer as JSON. */
  // biome-ignore lint/suspicious/noExplicitAny: each test knows what it asked for.
  call(path: string, init?: RequestInit): Promise<{ status: number; headers: Headers; body: any }>;
}

/** A listening server with the routes that a test needs, open to everybody unless the test brings keys. */
export async function startServer(
  register: (app: HttpServer) => void,
  options: Partial<HttpServerOptions> = {},
): Promise<TestServer> {
  const log: Record<string, unknown>[] = [];
  const app = await createHttpServer({
    version: "1.2.3",
    keys: openKeys,
    logger: pino({ level: "debug" }, { write: (line) => log.push(JSON.parse(line)) }),
    registry: createRegistry(),
    probes: [],
    bodyLimitBytes: 2_048,
    rateLimitPerMinute: undefined,
    ...options,
  });
  register(app);
  const url = await app.listen({ host: "127.0.0.1", port: 0 });
  return {
    app,
    log,
    url,
    async call(path, init) {
      const response = await fetch(url + path, init);
      const text = await response.text();
      return {
        status: response.status,
        headers: response.headers,
        body: text === "" ? undefined : JSON.parse(text),
      };
    },
  };
}
