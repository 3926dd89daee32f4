import { get } from "node:http";
import { createInterface } from "node:readline";
import { type BusSettings, busOf, withBus } from "./broker.ts";
import { openEngine, oversold, stockUp, store_id, withPostgres } from "./database.ts";
import { round, summary } from "./load.ts";
import type { Result } from "./result.ts";
import { putUnderLoad, withServer } from "./server.ts";

const seconds = 10;
const pauseMs = 20;

/**
 * How old what a shop window shows is, while others buy: from the answer to a reservation until the storefront answers
 * with it, and until a stream has told of it. The rate is that of the reservations which are the load; the baseline is
 * the same load with nobody watching. With `--bus=kafka` the storefront is another process on another database, and
 * hears of the stock through the broker alone.
 */
export function syncLag(say: (message: string) => void, args: readonly string[]): Promise<Result> {
  const bus = busOf(args);
  return withPostgres((postgres) =>
    withBus(bus, async (settings) => {
      const url = await postgres.createDatabase("sync_lag");
      if (bus === "postgres") {
        const skus = await stocked(url, {});
        return withServer(url, (port) => watch({ shop: port, window: port }, url, skus, say));
      }
      const skus = await stocked(url, settings);
      const windowUrl = await postgres.createDatabase("shop_window");
      const environment = environmentOf(settings);
      const shop = { ...environment, HOLDFAST_SERVICES: "catalog,inventory" };
      const window = { ...environment, HOLDFAST_SERVICES: "storefront" };
      return withServer(
        url,
        (port) =>
          withServer(
            windowUrl,
            async (windowPort) => {
              await untilAnswered(windowPort, skus.at(-1)!, 2_000_000_000);
              return watch({ shop: port, window: windowPort }, url, skus, say);
            },
            window,
          ),
        shop,
      );
    }),
  );
}

async function stocked(url: string, settings: BusSettings): Promise<string[]> {
  const engine = await openEngine(url, {
    ...settings,
    ...(settings.bus && { services: ["catalog", "inventory"] }),
  });
  const skus = await stockUp(engine, 1_000);
  await engine.close();
  return skus;
}

function environmentOf({ bus, kafkaBrokers, rabbitmqUrl, topicPrefix }: BusSettings): Record<string, string> {
  return {
    HOLDFAST_BUS: bus!,
    HOLDFAST_TOPIC_PREFIX: topicPrefix!,
    ...(kafkaBrokers && { HOLDFAST_KAFKA_BROKERS: kafkaBrokers.join() }),
    ...(rabbitmqUrl && { HOLDFAST_RABBITMQ_URL: rabbitmqUrl }),
  };
}

/** Where reservations are made, and where the shop window is. */
interface Ports {
  readonly shop: number;
  readonly window: number;
}

async function watch(
  ports: Ports,
  url: string,
  skus: readonly string[],
  say: (message: string) => void,
): Promise<Result> {
  const [watched, ...others] = skus as [string, ...string[]];
  const load = {
    port: ports.shop,
    connections: 64,
    warmUpSeconds: 1,
    kind: "reserve",
    skus: others,
    batchSize: 1,
  } as const;
  const alone = await putUnderLoad({ ...load, seconds: 5 });
  say(`  the load alone: ${alone.rate} reservations/s`);

  const window = await ShopWindow.open(ports.window, watched);
  const lags = { answer: [] as number[], stream: [] as number[] };
  const loading = putUnderLoad({ ...load, seconds });
  let isLoading = true;
  void loading.finally(() => {
    isLoading = false;
  });
  let probes = 0;
  for (; isLoading; probes++) {
    const left = await reserveOne(ports.shop, watched, probes);
    const committed = performance.now();
    const [answered, streamed] = await Promise.all([
      untilAnswered(ports.window, watched, left),
      window.untilShown(left),
    ]);
    lags.answer.push(answered - committed);
    lags.stream.push(streamed - committed);
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
  const watchedLoad = await loading;
  window.close();
  const answer = summary(lags.answer, seconds);
  const stream = summary(lags.stream, seconds);
  say(`  to the storefront's answer: p50 ${answer.p50_ms} ms, p99 ${answer.p99_ms} ms`);
  say(`  to a stream: p50 ${stream.p50_ms} ms, p99 ${stream.p99_ms} ms`);
  return {
    rate: watchedLoad.rate,
    p50_ms: answer.p50_ms,
    p99_ms: answer.p99_ms,
    stream_p50_ms: stream.p50_ms,
    stream_p99_ms: stream.p99_ms,
    probes,
    baseline_rate: alone.rate,
    ratio: round(watchedLoad.rate / alone.rate, 2),
    oversold: await oversold(url, alone.calls + watchedLoad.calls + probes),
  };
}

/** Answers how many are left. */
async function reserveOne(port: number, sku: string, n: number): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${port}/v1/reservations/probe-${n}`, {
    method: "PUT",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ lines: [{ store_id, sku, quantity: 1 }] }),
  });
  if (response.status !== 201) throw new Error(`a probe was answered ${response.status}`);
  return 2_000_000_000 - n - 1;
}

async function untilAnswered(port: number, sku: string, left: number): Promise<number> {
  for (;;) {
    const response = await fetch(`http://127.0.0.1:${port}/v1/availability?sku=${sku}`);
    // A storefront that has just begun answers 503 until it knows that it has everything.
    const { items } = (await response.json()) as { items?: { quantity_available: number }[] };
    if (items?.some(({ quantity_available }) => quantity_available <= left)) return performance.now();
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** A client of the stream of one SKU. */
class ShopWindow {
  private shown = Number.POSITIVE_INFINITY;
  private notify = () => {};
  readonly close: () => void;

  private constructor(lines: AsyncIterable<string>, close: () => void) {
    this.close = close;
    void this.follow(lines);
  }

  static open(port: number, sku: string): Promise<ShopWindow> {
    return new Promise((resolve, reject) => {
      const request = get(`http://127.0.0.1:${port}/v1/availability/stream?sku=${sku}`, (response) => {
        resolve(new ShopWindow(createInterface(response), () => request.destroy()));
      });
      request.on("error", reject);
    });
  }

  async untilShown(left: number): Promise<number> {
    while (this.shown > left) {
      await new Promise<void>((resolve) => {
        this.notify = resolve;
      });
    }
    return performance.now();
  }

  private async follow(lines: AsyncIterable<string>): Promise<void> {
    try {
      for await (const line of lines) {
        if (!line.startsWith("data:")) continue;
        this.shown = JSON.parse(line.slice(5)).quantity_available;
        this.notify();
      }
    } catch {
      // closed by us
    }
  }
}
