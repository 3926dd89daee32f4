import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { afterAll, beforeAll, expect, it } from "vitest";
import { BusBench, listener, told, writeDown } from "../../../testing/bus-contract/bench.ts";
import { patience } from "../../../testing/patience.ts";
import { createPool, type Pool } from "../../postgres/pool.ts";
import { createLogger } from "../../telemetry/logger.ts";
import { createRegistry } from "../../telemetry/metrics.ts";
import { untraced } from "../../telemetry/tracer.ts";
import type { Subscription } from "../port.ts";
import { createPostgresBus } from "./index.ts";

const losses = ["before COMMIT arrives", "after COMMIT is carried out"] as const;
type Loss = (typeof losses)[number];

/** Stands between the pool and PostgreSQL and cuts a connection at the COMMIT of the transaction that is told of. */
class Wire {
  loss: Loss | undefined;
  cuts = 0;
  private databaseUrl = "";
  private readonly server = createServer((client) => this.join(client));

  async listen(databaseUrl: string): Promise<string> {
    this.databaseUrl = databaseUrl;
    this.server.listen(0, "127.0.0.1");
    await once(this.server, "listening");
    const url = new URL(databaseUrl);
    url.host = `127.0.0.1:${(this.server.address() as AddressInfo).port}`;
    return url.href;
  }

  close(): void {
    this.server.close();
  }

  private join(client: Socket): void {
    const { hostname, port } = new URL(this.databaseUrl);
    const postgres = connect(Number(port), hostname);
    const cut = () => {
      this.loss = undefined;
      this.cuts++;
      client.destroy();
      postgres.destroy();
    };
    client.on("data", (sent) => {
      if (this.loss === "before COMMIT arrives" && sent.includes("commit\0")) cut();
      else postgres.write(sent);
    });
    postgres.on("data", (answer) => {
      if (this.loss === "after COMMIT is carried out" && answer.includes("COMMIT\0")) cut();
      else if (!client.destroyed) client.write(answer);
    });
    for (const socket of [client, postgres]) socket.on("error", () => {});
    postgres.on("close", () => client.destroy());
    client.on("close", () => postgres.destroy());
  }
}

const wire = new Wire();
let wired: Pool;
const bench = new BusBench((setting) =>
  createPostgresBus({
    ...setting,
    pool: wired,
    logger: createLogger("silent"),
    tracer: untraced,
    registry: createRegistry(),
  }),
);
beforeAll(async () => {
  wired = createPool(await wire.listen(bench.url), { max: 4, name: "wired" });
});
afterAll(async () => {
  await wired.end();
  wire.close();
});

it.each(losses)(
  "when the answer is lost %s, the events are handled once, and what follows is told",
  async (loss) => {
    let isNext = true;
    const concluded: string[] = [];
    const subscription: Subscription = listener({
      async handle(tx, events) {
        writeDown(tx, "listener", events);
        if (isNext && events.some(({ subject }) => subject === "doubtful")) {
          isNext = false;
          wire.loss = loss;
        }
        return () => concluded.push(...events.map(({ subject }) => subject));
      },
    });
    const cutsBefore = wire.cuts;
    const { bus } = bench.process([subscription]);
    await bench.write("teller", [told("before")], bench.pool);
    await bench.untilHeard(["before"]);
    await bench.write("teller", [told("doubtful")], bench.pool);
    await bench.untilHeard(["before", "doubtful"]);
    const last = await bench.write("teller", [told("after")], bench.pool);
    expect(await bus.reached("teller", last, patience.timeout)).toBe(true);
    expect(await bench.heard()).toEqual(["before", "doubtful", "after"]);
    expect(wire.cuts).toBe(cutsBefore + 1);
    await expect.poll(() => concluded).toEqual(["before", "doubtful", "after"]);
  },
);
