import { expect, it } from "vitest";
import { BusBench, listener, told } from "../../../testing/bus-contract/bench.ts";
import { createLogger } from "../../telemetry/logger.ts";
import { createRegistry } from "../../telemetry/metrics.ts";
import { untraced } from "../../telemetry/tracer.ts";
import { createPostgresBus } from "./index.ts";

const bench = new BusBench((setting) =>
  createPostgresBus({
    ...setting,
    logger: createLogger("silent"),
    tracer: untraced,
    registry: createRegistry(),
    pollMs: 50,
  }),
);

it("the cursor follows behind what was passed over, though nothing was handled", async () => {
  const { bus } = bench.process([listener({ concerns: ({ subject }) => subject === "ours" })]);
  await bench.write("teller", [told("ours")]);
  await bench.untilHeard(["ours"]);
  let last = 0;
  for (let n = 0; n < 20; n++) last = await bench.write("teller", [told("foreign")]);
  const cursor = async () => (await bus.consumers()).find(({ topic }) => topic === "teller");
  await expect.poll(cursor).toMatchObject({ position: last, lag: 0 });
  expect(await bench.heard()).toEqual(["ours"]);
});
