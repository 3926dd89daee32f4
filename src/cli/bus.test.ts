import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import type { Bus } from "../platform/bus/port.ts";
import { registerBusRoutes } from "../platform/bus/routes.ts";
import { BusBench, stumbling, told } from "../testing/bus-contract/bench.ts";
import { useBus } from "../testing/buses.ts";
import { runCli } from "../testing/cli.ts";
import { startServer, type TestServer } from "../testing/http-server.ts";

// Every step starts a process of its own, which takes seconds on a busy machine.

const house = inject("house");
const bench = new BusBench(useBus(house === "together" ? "postgres" : house), "key");
let server: TestServer;
let bus: Bus;
beforeAll(async () => {
  const current = new Proxy({} as Bus, { get: (_, name) => Reflect.get(bus, name) });
  server = await startServer((app) => registerBusRoutes(app, current));
});
afterAll(() => server.app.close());

const holdfast = (...args: string[]) => runCli(args, { HOLDFAST_URL: server.url });

/** `a` is handled, `b` is set aside until the handler is mended. */
async function runListener() {
  let isMended = false;
  ({ bus } = bench.process([stumbling((event) => "poison" in event.data && !isMended)]));
  const position = await bench.write("teller", [told("a"), told("b", { poison: true })]);
  await bench.untilHeard(["a"]);
  const [letter] = await bench.untilLetters(bus, [{ status: "dead" }]);
  return {
    position,
    id: letter!.id,
    mend() {
      isMended = true;
    },
  };
}

describe("holdfast consumers", () => {
  it("shows them, and lets them begin again", async () => {
    const { position } = await runListener();
    const listed = await holdfast("consumers");
    expect(listed.code).toBe(0);
    expect(listed.stdout).toMatch(new RegExp(`^listener +teller +${position} +0 +0 +1$`, "m"));
    const replayed = await holdfast("consumers", "replay", "listener", "--from", "0", "--topic", "teller");
    expect(replayed).toMatchObject({ code: 0, stdout: "listener begins again from 0 in one topic.\n" });
    await bench.untilHeard(["a", "a"]);
  });

  it("refuses what cannot be meant", async () => {
    await runListener();
    const group = await holdfast("consumers", "replay", "nobody", "--from", "2026-11-21T12:00:00Z");
    expect([group.code, group.stderr]).toEqual([1, expect.stringContaining("There are: listener")]);
    const place = await holdfast("consumers", "replay", "listener", "--from", "soon");
    expect([place.code, place.stderr]).toEqual([
      1,
      expect.stringContaining("--from wants a position or a time"),
    ]);
  });

  it("says what to do when no server runs", async () => {
    const { code, stderr } = await holdfast("consumers", "--url", "http://127.0.0.1:1");
    expect([code, stderr]).toEqual([1, expect.stringContaining("No server answers at http://127.0.0.1:1")]);
    expect(stderr).toContain("`holdfast start`");
    const wrong = await holdfast("consumers", "--url", "nonsense");
    expect([wrong.code, wrong.stderr]).toEqual([1, expect.stringContaining("nonsense is not a URL")]);
  });

  it("sends the key that it is given, and says so when it needs one", async () => {
    const keys = { required: true, find: () => undefined, search: async () => undefined };
    const guarded = await startServer((app) => registerBusRoutes(app, bus), { keys });
    const asked = await holdfast("consumers", "--url", guarded.url);
    expect([asked.code, asked.stderr]).toEqual([1, expect.stringContaining("--key")]);
    await guarded.app.close();
  });
});

describe("holdfast dead-letters", () => {
  it("shows them, tries them again, discards them", async () => {
    const { id, mend } = await runListener();
    const listed = await holdfast("dead-letters", "list", "--status", "dead", "--group", "listener");
    expect(listed.stdout).toMatch(new RegExp(`^${id} +dead +\\S+Z +Told +b +1 .*stumbled over b$`, "m"));
    const whole = await holdfast("dead-letters", "list", "--json");
    expect(JSON.parse(whole.stdout)).toMatchObject({ id, event: { subject: "b" } });
    mend();
    expect(await holdfast("dead-letters", "retry", id)).toMatchObject({
      code: 0,
      stdout: `${id} is tried again now.\n`,
    });
    await bench.untilHeard(["a", "b"]);
    const gone = await holdfast("dead-letters", "discard", id);
    expect([gone.code, gone.stderr]).toEqual([1, expect.stringContaining(`There is no dead letter ${id}.`)]);
  });

  it("discards them", async () => {
    const { id } = await runListener();
    expect(await holdfast("dead-letters", "discard", id)).toMatchObject({ stdout: `${id} is discarded.\n` });
    expect((await holdfast("dead-letters")).stderr).toContain("There is none.");
  });
});
