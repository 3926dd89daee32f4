import { describe, expect, it } from "vitest";
import { describeKafka, describeRabbitmq, useKafka, useRabbitmq } from "../../../testing/brokers.ts";
import { BusBench, type BusProcess, listener, told } from "../../../testing/bus-contract/bench.ts";
import { useBus } from "../../../testing/buses.ts";
import { KafkaBench } from "../../../testing/kafka.ts";
import { RabbitBench } from "../../../testing/rabbitmq.ts";
import type { Broker, ReceivedMessage } from "./broker.ts";
import { assertOurs } from "./ownership.ts";

const reason = ({ bus }: BusProcess) => bus.broker()?.reason ?? "";

describeRabbitmq("a topic that the database does not belong to", () => {
  const bench = new BusBench(useBus("rabbitmq"));

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

    await expect.poll(() => reason(anew)).toContain("holds the events of another database");
    expect(anew.bus.broker()).toMatchObject({ isUp: false });
    expect(await bench.heard()).toEqual([]);
  });

  it("is not written to when the database was set back to an earlier moment", async () => {
    const earlier = await afterALife(
      "truncate teller.log, relay.cursors; select setval('teller.log_position', 1, false)",
    );

    await expect.poll(() => reason(earlier)).toContain("set back to an earlier moment");
    await bench.pool.query("select setval('teller.log_position', 1000)");
    await expect.poll(() => earlier.bus.broker()?.isUp).toBe(true);
    await bench.write("teller", [told("b")], earlier.pool);
    await bench.untilHeard(["a", "b"]);
  });
});

describeKafka("a topic of ours in Kafka that ends with a stray message", () => {
  const kafka = useKafka();
  const clients = new KafkaBench(() => kafka.brokers);
  describeStray("kafka", () => clients.broker());
});

describeRabbitmq("a topic of ours in RabbitMQ that ends with a stray message", () => {
  const rabbitmq = useRabbitmq();
  const clients = new RabbitBench(() => rabbitmq.url);
  describeStray("rabbitmq", () => clients.broker());
});

function describeStray(kind: "kafka" | "rabbitmq", client: () => Broker): void {
  let run = "";
  const open = useBus(kind);
  const bench = new BusBench((setting) => {
    run = setting.run;
    return open(setting);
  }, "key");

  it("is written to and read after a restart", async () => {
    const before = bench.process([listener()]);
    await bench.write("teller", [told("a")], before.pool);
    await bench.untilHeard(["a"]);
    await before.end();
    const garbage = { key: "a", attributes: {}, body: "garbage" };
    await client().publish(`${run}.holdfast.teller`, [garbage]);

    const after = bench.process([listener()]);
    await bench.write("teller", [told("b")], after.pool);
    await bench.untilHeard(["a", "b"]);
    await expect.poll(() => reason(after)).toBe("");
  });

  it("is read on behind it, whichever event it says that it is", async () => {
    const { bus, pool } = bench.process([listener()]);
    const position = await bench.write("teller", [told("a")], pool);
    await bench.untilHeard(["a"]);
    const attributes = { id: `teller-${position + 3}-0`, type: "Told" };
    await client().publish(`${run}.holdfast.teller`, [{ key: "a", attributes, body: "{not json" }]);
    await bench.write("teller", [told("a")], pool);
    const last = await bench.write("teller", [told("a")], pool);
    await bench.untilHeard(["a", "a", "a"]);
    await expect.poll(() => bus.reached("teller", last)).toBe(true);
  });
}

describe("what a partition ends with", () => {
  const ours = (position: number) => ({ logid: "ours", id: `teller-${position}-0` });
  const stray = {};

  /** Messages before `first` are too old to be there. */
  function brokerWith(all: readonly Record<string, string>[], first = 0) {
    const messages = all.map(
      (attributes, offset): ReceivedMessage => ({ offset, key: "k", attributes, body: "{}" }),
    );
    const peeked: number[] = [];
    const broker = {
      ends: async () => [all.length],
      peek: async (_topic: string, _partition: number, offset: number) => {
        peeked.push(offset);
        return messages.find((message) => message.offset >= Math.max(first, offset));
      },
    };
    return { broker: broker as unknown as Broker, peeked };
  }

  async function asserted(broker: Broker) {
    const strays: unknown[] = [];
    const log = { id: "ours", position: 7 };
    await assertOurs(broker, "topic", log, (...place) => strays.push(place));
    return strays;
  }

  it("is ours, with nothing more than one look", async () => {
    const { broker, peeked } = brokerWith([stray, ours(7)]);
    expect(await asserted(broker)).toEqual([]);
    expect(peeked).toEqual([1]);
  });

  it("is stray, and what is before it counts", async () => {
    const strays = Array.from({ length: 50 }, () => stray);
    expect(await asserted(brokerWith([ours(7), ...strays]).broker)).toEqual([["topic", 0, 50]]);
    await expect(asserted(brokerWith([ours(8), ...strays]).broker)).rejects.toThrow("ahead of the database");
    await expect(asserted(brokerWith([ours(8), ours(7), ...strays]).broker)).resolves.toBeDefined();
    await expect(asserted(brokerWith([{ logid: "another" }, ...strays]).broker)).rejects.toThrow(
      "another database",
    );
  });

  it("is stray for longer than anybody looks", async () => {
    const strays = Array.from({ length: 1_100 }, () => stray);
    const { broker, peeked } = brokerWith([{ logid: "another" }, ...strays]);
    expect(await asserted(broker)).toEqual([["topic", 0, 1_100]]);
    expect(peeked.length).toBeLessThanOrEqual(1_001);
  });

  it("is all there is, since everything before it was too old", async () => {
    const strays = Array.from({ length: 900 }, () => stray);
    const { broker, peeked } = brokerWith(strays, 899);
    expect(await asserted(broker)).toEqual([["topic", 0, 899]]);
    expect(peeked).toEqual([899, 0]);
    const gone = brokerWith(strays, 900);
    expect(await asserted(gone.broker)).toEqual([]);
    expect(gone.peeked).toEqual([899, 0]);
  });
});
