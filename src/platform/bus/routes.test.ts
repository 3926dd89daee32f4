import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BusBench, stumbling, told } from "../../testing/bus-contract/bench.ts";
import { startServer, type TestServer } from "../../testing/http-server.ts";
import { patience } from "../../testing/patience.ts";
import { createLogger } from "../telemetry/logger.ts";
import { createRegistry, type Registry } from "../telemetry/metrics.ts";
import { untraced } from "../telemetry/tracer.ts";
import type { Bus } from "./port.ts";
import { createPostgresBus } from "./postgres/index.ts";
import { busProbe } from "./probe.ts";
import { registerBusRoutes } from "./routes.ts";

let registry: Registry;
const bench = new BusBench((setting) => {
  registry = createRegistry();
  return createPostgresBus({ ...setting, logger: createLogger("silent"), tracer: untraced, registry });
});

let server: TestServer;
let bus: Bus;
beforeAll(async () => {
  // Each test has a process of its own; the server asks the one of the test.
  const current = new Proxy({} as Bus, { get: (_, name) => Reflect.get(bus, name) });
  server = await startServer((app) => registerBusRoutes(app, current), { probes: [busProbe(current)] });
});
afterAll(() => server.app.close());

function post(path: string, body?: unknown) {
  const headers = { "content-type": "application/json" };
  return server.call(path, {
    method: "POST",
    ...(body === undefined ? {} : { headers, body: JSON.stringify(body) }),
  });
}

async function runListener() {
  let isMended = false;
  const process = bench.process([
    stumbling((event) => !isMended && "poison" in event.data, { afterFailure: "wait" }),
  ]);
  bus = process.bus;
  return {
    mend() {
      isMended = true;
    },
  };
}

async function handled(...subjects: string[]): Promise<number> {
  let last = 0;
  for (const subject of subjects) last = await bench.write("teller", [told(subject)]);
  expect(await bus.reached("teller", last, patience.timeout)).toBe(true);
  return last;
}

async function broken() {
  const { mend } = await runListener();
  await bench.write("teller", [told("a", { poison: true, order_id: "o" }), told("b", { order_id: "o" })]);
  const letters = await bench.untilLetters(bus, [{ status: "dead" }, { status: "waiting" }]);
  return { mend, dead: letters[0]!, waiting: letters[1]! };
}

describe("consumers", () => {
  it("are listed with their lag, in the health and in the metrics too", async () => {
    await runListener();
    const last = await handled("a", "b");
    const { status, body } = await server.call("/v1/consumers");
    const state = { group: "listener", lag: 0, lag_seconds: 0, retrying: 0, dead: 0 };
    expect([status, body]).toEqual([
      200,
      {
        items: [
          { ...state, topic: "crier", position: expect.any(Number) },
          { ...state, topic: "teller", position: last },
        ],
      },
    ]);
    const health = async () => (await server.call("/health")).body.dependencies.bus.details.consumers;
    await expect.poll(health).toEqual({
      listener: { lag: 0, lag_seconds: 0, retrying_events: 0, dead_events: 0 },
    });
    const metrics = () => registry.metrics();
    await expect.poll(metrics).toContain('kafka_consumer_lag_messages{group="listener",topic="teller"} 0');
    await expect.poll(metrics).toContain('bus_dead_letters{group="listener",topic="teller",status="dead"} 0');
    await expect.poll(metrics).toContain('order_event_processing_duration_seconds_count{group="listener"} 2');
  });

  it("are moved back to a position or a time, in one topic or in all", async () => {
    await runListener();
    const last = await handled("a", "b");
    const again = await post("/v1/consumers/listener/replay", { from: last, topic: "teller" });
    expect([again.status, again.body]).toEqual([200, { moved: 1 }]);
    await bench.untilHeard(["a", "b", "b"]);
    const all = await post("/v1/consumers/listener/replay", { from: "2020-01-01T00:00:00Z" });
    expect([all.status, all.body]).toEqual([200, { moved: 2 }]);
    await bench.untilHeard(["a", "b", "b", "a", "b"]);
    await handled("c");
    const durations = 'order_event_processing_duration_seconds_count{group="listener"}';
    // What was handled once more says nothing about how long events take.
    await expect.poll(() => registry.metrics()).toContain(`${durations} 3\n`);
  });

  it("that nobody knows are not moved", async () => {
    await runListener();
    await handled("a");
    const group = await post("/v1/consumers/nobody/replay", { from: 0 });
    expect([group.status, group.body.code]).toEqual([404, "bus.unknown_group"]);
    expect(group.body.detail).toContain("There are: listener.");
    const topic = await post("/v1/consumers/listener/replay", { from: 0, topic: "scribe" });
    expect([topic.status, topic.body.code]).toEqual([404, "bus.unknown_topic"]);
  });

  it.each([
    [{}, "from"],
    [{ from: -1 }, "from"],
    [{ from: 1.5 }, "from"],
    [{ from: "yesterday" }, "from"],
    [{ from: "2016-12-31T23:59:60Z" }, "from"],
    [{ from: 0, topic: "no topic" }, "topic"],
    [{ from: 0, colour: "red" }, "colour"],
  ])("are not moved by %j", async (body, field) => {
    await runListener();
    await handled("a");
    const answer = await post("/v1/consumers/listener/replay", body);
    expect(answer.status).toBe(422);
    expect(answer.body.errors.map((error: { field: string }) => error.field)).toContain(field);
  });
});

describe("dead letters", () => {
  it("are listed, filtered, in pages", async () => {
    const { dead, waiting } = await broken();
    const first = await server.call("/v1/dead-letters?limit=1");
    expect([first.status, first.body.items, first.body.next]).toEqual([
      200,
      [
        {
          id: dead.id,
          group: "listener",
          status: "dead",
          at: expect.stringMatching(/Z$/),
          event: expect.objectContaining({ subject: "a", key: "o", topic: "teller", type: "Told" }),
          command: null,
          error: expect.stringContaining("stumbled over a"),
          attempts: 1,
          next_try_at: null,
        },
      ],
      dead.id,
    ]);
    const second = await server.call(`/v1/dead-letters?limit=1&after=${first.body.next}`);
    expect([second.body.items[0].id, second.body.next]).toEqual([waiting.id, null]);
    const filtered = await server.call("/v1/dead-letters?group=listener&status=waiting");
    expect(filtered.body.items.map(({ id }: { id: string }) => id)).toEqual([waiting.id]);
  });

  it.each(["after=nonsense", "status=lost", "group=No", "limit=0", "colour=red"])(
    "are not listed by %s",
    async (query) => {
      await runListener();
      expect((await server.call(`/v1/dead-letters?${query}`)).status).toBe(422);
    },
  );

  it("are tried again, and what waited goes on", async () => {
    const { mend, dead, waiting } = await broken();
    const refused = await post(`/v1/dead-letters/${waiting.id}/retry`);
    expect([refused.status, refused.body.code]).toEqual([409, "bus.dead_letter_waits"]);
    mend();
    const { status, body } = await post(`/v1/dead-letters/${dead.id}/retry`);
    expect([status, body]).toEqual([202, { id: dead.id, status: "retrying" }]);
    await bench.untilHeard(["a", "b"]);
    const gone = await post(`/v1/dead-letters/${dead.id}/retry`);
    expect([gone.status, gone.body.code]).toEqual([404, "bus.dead_letter_not_found"]);
  });

  it("are discarded", async () => {
    const { dead } = await broken();
    const discard = () => server.call(`/v1/dead-letters/${dead.id}`, { method: "DELETE" });
    expect((await discard()).status).toBe(204);
    await bench.untilHeard(["b"]);
    const again = await discard();
    expect([again.status, again.body.code]).toEqual([404, "bus.dead_letter_not_found"]);
  });

  it("of commands are not tried again", async () => {
    await runListener();
    await bench.pool.query(
      `insert into listener.dead_letters (command, error) values ('{"type": "Tell"}', 'defect')`,
    );
    const [letter] = await bench.untilLetters(bus, [{ status: "dead", command: { type: "Tell" } }]);
    const { status, body } = await post(`/v1/dead-letters/${letter!.id}/retry`);
    expect([status, body.code]).toEqual([409, "bus.dead_letter_is_command"]);
  });
});
