import { expect, it } from "vitest";
import { describeRabbitmq, useRabbitmq } from "../../../testing/brokers.ts";
import { patience } from "../../../testing/patience.ts";
import { Listener, numbered, numberOf, RabbitBench, until, upTo } from "../../../testing/rabbitmq.ts";
import { createLogger } from "../../telemetry/logger.ts";
import type { Broker, ReceivedMessage } from "../broker/broker.ts";
import { Connection } from "./connection.ts";
import { StreamHead } from "./stream-head.ts";

describeRabbitmq("groups of one process", () => {
  const rabbitmq = useRabbitmq();
  const bench = new RabbitBench(() => rabbitmq.url);

  /** Until both have come to the stream's head. */
  async function pairAtHead(broker: Broker, topic: string): Promise<[Listener, Listener]> {
    const pair: [Listener, Listener] = [new Listener(broker, topic), new Listener(broker, topic)];
    let end = 0;
    await until(async () => {
      await broker.publish(topic, numbered(end++, 1));
      await until(() => pair.every(({ heard }) => heard.length === end));
      return pair[0].heard.at(-1) === pair[1].heard.at(-1);
    });
    return pair;
  }

  it("are given the very same messages where they stand together", async () => {
    const [broker, topic] = await bench.brokerWithTopic();
    const [one, two] = await pairAtHead(broker, topic);
    const end = one.heard.length;
    await broker.publish(topic, numbered(end, 3_000));
    await one.untilNumbers(upTo(end + 3_000));
    await two.untilNumbers(upTo(end + 3_000));
    expect(two.heard.slice(end).every((message, i) => message === one.heard[end + i])).toBe(true);
  });

  it("go on while one of them takes nothing, and that one comes after them and loses nothing", async () => {
    const [broker, topic] = await bench.brokerWithTopic();
    let released: Promise<void> | undefined;
    let release = () => {};
    const slow: ReceivedMessage[] = [];
    new Listener(broker, topic, {
      deliver: async (_topic, _partition, messages) => {
        await released;
        slow.push(...messages);
      },
    });
    const [quick] = await pairAtHead(broker, topic);
    const end = quick.heard.length;
    await until(() => slow.length === end);
    released = new Promise((resolve) => {
      release = resolve;
    });
    // More than is kept.
    for (let from = 0; from < 15_000; from += 1_000) {
      await broker.publish(topic, numbered(end + from, 1_000));
    }
    await quick.untilNumbers(upTo(end + 15_000));
    expect(slow).toHaveLength(end);
    released = undefined;
    release();
    await until(() => slow.length === end + 15_000);
    expect(slow.map(numberOf)).toEqual(upTo(end + 15_000));
    await broker.publish(topic, numbered(end + 15_000, 1));
    await until(() => slow.length === end + 15_001);
  });

  it("share no more than a bounded number of messages, and no reading that was lost", async () => {
    const [broker, topic] = await bench.brokerWithTopic();
    const logger = createLogger("silent");
    const options = { url: rabbitmq.url, name: "test", tls: undefined, timeoutMs: patience.timeout, logger };
    const connection = new Connection(options);
    const head = new StreamHead({ topic, name: "head", connection, logger });
    head.enter();
    let end = 0;
    await until(async () => {
      await broker.publish(topic, numbered(end++, 1));
      return head.holds(end - 1);
    });
    const early = end - 1;
    for (let from = 0; from < 12_000; from += 1_000) await broker.publish(topic, numbered(end + from, 1_000));
    end += 12_000;
    await until(() => head.holds(end));
    expect(head.holds(early)).toBe(false);
    const { reading } = head;
    expect(await head.next(early, reading)).toBeUndefined();
    expect(head.holds(end - 10_000)).toBe(true);
    expect(head.holds(end - 10_001)).toBe(false);
    expect(head.holds(end + 1)).toBe(false);
    const given = await head.next(end - 10_000, reading);
    expect(given!.map(numberOf)).toEqual(upTo(end - 9_000, end - 10_000));

    const coming = head.next(end, reading);
    await broker.publish(topic, numbered(end, 1));
    expect((await coming)!.map(numberOf)).toEqual([end]);
    end += 1;
    const unreachable = { code: "bus.unreachable" };
    const waiting = expect(head.next(end, reading)).rejects.toMatchObject(unreachable);
    await head.leave();
    await waiting;
    expect(head.holds(end)).toBe(false);

    // Who was busy when it was lost is told as well, although the next reading has what he asks for.
    head.enter();
    await until(async () => {
      await broker.publish(topic, numbered(end++, 1));
      return head.holds(end - 1);
    });
    await expect(head.next(end - 1, reading)).rejects.toMatchObject(unreachable);
    expect((await head.next(end - 1, head.reading))!.map(numberOf)).toEqual([end - 1]);
    await head.leave();
    await connection.close();
  });
});
