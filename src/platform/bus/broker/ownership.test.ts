import { expect, it } from "vitest";
import { describeRabbitmq } from "../../../testing/brokers.ts";
import { BusBench, type BusProcess, listener, told } from "../../../testing/bus-contract/bench.ts";
import { useBus } from "../../../testing/buses.ts";

describeRabbitmq("a topic that the database does not belong to", () => {
  const bench = new BusBench(useBus("rabbitmq"));

  const reason = ({ bus }: BusProcess) => bus.broker()?.reason ?? "";
  const patient = { timeout: 20_000, interval: 20 };

  async function afterALife(change: string): Promise<BusProcess> {
    const before = bench.process([listener()]);
    await bench.write("teller", [told("a")], before.pool);
    await bench.untilHeard(["a"]);
    await before.end();
    await bench.pool.query(change);
    return bench.process([listener()]);
  }

  it("is not written to, nor read, when the database was made anew", async () => {
    const anew = await afterALife(
      "update teller.log_identity set id = 'another'; truncate teller.log, listener.cursors, relay.cursors, heard",
    );
    await bench.write("teller", [told("b")], anew.pool);

    await expect.poll(() => reason(anew), patient).toContain("holds the events of another database");
    expect(anew.bus.broker()).toMatchObject({ isUp: false });
    expect(await bench.heard()).toEqual([]);
  });

  it("is not written to when the database was set back to an earlier moment", async () => {
    const earlier = await afterALife(
      "truncate teller.log, relay.cursors; select setval('teller.log_position', 1, false)",
    );

    await expect.poll(() => reason(earlier), patient).toContain("set back to an earlier moment");
    await bench.pool.query("select setval('teller.log_position', 1000)");
    await expect.poll(() => earlier.bus.broker()?.isUp, patient).toBe(true);
    await bench.write("teller", [told("b")], earlier.pool);
    await bench.untilHeard(["a", "b"]);
  });
});
