import { expect, it } from "vitest";
import { describeKafka, describeRabbitmq, useKafka, useRabbitmq } from "../../../testing/brokers.ts";
import { BusBench, type BusProcess, gate, listener } from "../../../testing/bus-contract/bench.ts";
import { useBus } from "../../../testing/buses.ts";
import { KafkaBench } from "../../../testing/kafka.ts";
import { RabbitBench } from "../../../testing/rabbitmq.ts";
import { busProbe } from "../probe.ts";
import type { Broker } from "./broker.ts";
import type { BrokerBus } from "./index.ts";

describeKafka("what comes in from outside by Kafka", () => {
  const kafka = useKafka();
  const clients = new KafkaBench(() => kafka.brokers);
  describeLag("kafka", () => clients.broker(), { lag: 3, lag_seconds: expect.any(Number) });
});

describeRabbitmq("what comes in from outside by RabbitMQ", () => {
  const rabbitmq = useRabbitmq();
  const clients = new RabbitBench(() => rabbitmq.url);
  // Of what is sent ahead of the message in hand nobody knows.
  describeLag("rabbitmq", () => clients.broker(), { lag: 1 });
});

function describeLag(
  kind: "kafka" | "rabbitmq",
  client: () => Broker,
  lag: { readonly lag: number; readonly lag_seconds?: number },
): void {
  let run = "";
  let receive = async () => {};
  const open = useBus(kind);
  const bench = new BusBench((setting) => {
    run = setting.run;
    const bus = open(setting) as BrokerBus;
    bus.accept("listener", { topic: "parcels", receive: () => receive() });
    return bus;
  });

  async function stateOf({ bus }: BusProcess) {
    const states = await bus.consumers();
    return states.filter(({ topic }) => topic === "parcels");
  }

  async function send(count: number): Promise<void> {
    const message = { key: "k", attributes: {}, body: "{}" };
    const messages = Array.from({ length: count }, () => message);
    const broker = client();
    // The process makes the topic.
    await expect.poll(() => broker.publish(`${run}.parcels`, messages).then(() => true, String)).toBe(true);
  }

  it("is behind until it is durable, beside what was set aside", async () => {
    const { opened, open: handle } = gate();
    receive = () => opened;
    const process = bench.process([listener()]);
    await bench.pool.query(
      `insert into listener.dead_letters (topic, event, error, event_id) values ('parcels', '{}', 'odd', 'parcels-1')`,
    );
    await send(lag.lag);
    const state = { group: "listener", topic: "parcels", retrying: 0, dead: 1 };
    await expect.poll(() => stateOf(process)).toEqual([{ ...state, ...lag }]);
    const checked = async () => {
      const { consumers } = (await busProbe(process.bus).check()) as { consumers: Record<string, object> };
      return consumers.listener;
    };
    await expect.poll(checked).toEqual({ ...lag, retrying_events: 0, dead_events: 1 });

    handle();
    await expect.poll(() => stateOf(process)).toEqual([{ ...state, lag: 0, lag_seconds: 0 }]);
  });
}
