import { beforeAll, beforeEach, expect, it } from "vitest";
import { describeRabbitmq, OwnBroker } from "../../../testing/brokers.ts";
import {
  Listener,
  newTopic,
  numbered,
  numberOf,
  RabbitBench,
  until,
  upTo,
} from "../../../testing/rabbitmq.ts";
import type { Broker, OutgoingMessage } from "../broker/broker.ts";
import { consumeStream } from "./channel.ts";

describeRabbitmq("outages of RabbitMQ", () => {
  // The usual half an hour after which a consumer that does not acknowledge loses its channel, cut short.
  const properties = { consumer_timeout: "1000", channel_tick_interval: "500" };
  const rabbitmq = new OwnBroker("rabbitmq", { properties });
  const bench = new RabbitBench(() => rabbitmq.address);
  let isRunning = true;

  // The broker writes down five seconds later that it has streams at all: who kills it before that loses them for good.
  beforeAll(async () => {
    const broker = bench.broker();
    await broker.createTopics([newTopic()]);
    await broker.close();
    await rabbitmq.stop();
    await rabbitmq.start();
  });

  beforeEach(async () => {
    if (!isRunning) await start();
  });

  async function start(): Promise<void> {
    await rabbitmq.start();
    isRunning = true;
  }

  async function kill(): Promise<void> {
    isRunning = false;
    await rabbitmq.kill();
  }

  /** As the relay does it: the same call again until it resolves. */
  async function publishPatiently(broker: Broker, topic: string, messages: readonly OutgoingMessage[]) {
    for (;;) {
      try {
        return await broker.publish(topic, messages);
      } catch (error) {
        expect(error).toMatchObject({ code: "bus.unreachable", retryable: true });
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
  }

  it("loses nothing and keeps the order when the broker dies amidst publishing and following", async () => {
    const retried = { requestTimeoutMs: 10_000 };
    const [broker, topic] = await bench.brokerWithTopic(retried);
    const follower = bench.broker(retried);
    const listener = new Listener(follower, topic);
    let published = 0;
    let end = Number.POSITIVE_INFINITY;
    const publishing = (async () => {
      for (; published < end; published += 500) {
        await publishPatiently(broker, topic, numbered(published, 500));
      }
    })();
    await until(() => listener.heard.length > 5_000);
    await kill();
    end = published + 20_000;
    await until(() => !broker.state().isUp && !follower.state().isUp);
    const begun = listener.begins.length;
    await start();
    await publishing;
    await until(() => listener.heard.at(-1)?.body === `{"number":${end - 1}}`);

    // Whatever was published again goes back to where it began, and from there on in order: nothing is left out.
    const { numbers } = listener;
    const leaps = numbers.filter((number, index) => index > 0 && number > numbers[index - 1]! + 1);
    expect(leaps).toEqual([]);
    expect(numbers[0]).toBe(0);
    expect([...new Set(numbers)].sort((a, b) => a - b)).toEqual(upTo(end));
    expect(listener.heard.map(({ offset }) => offset)).toEqual(upTo(listener.heard.length));
    expect(listener.begins.length).toBeGreaterThan(begun);
    await until(() => broker.state().isUp);
  });

  it("starts and ends without the broker, fails calls in time, and works once it is there", async () => {
    await kill();
    const [broker, impatient] = [bench.broker(), bench.broker({ requestTimeoutMs: 1_000 })];
    const [topic, another] = [newTopic(), newTopic()];
    const listener = new Listener(broker, topic);
    const inbound: string[] = [];
    const handle = async (messages: readonly { body: string }[]) => {
      inbound.push(...messages.map(({ body }) => body));
    };
    broker.receive({ topic: `${topic}-in`, group: "test", handle });
    const unreachable = { code: "bus.unreachable", retryable: true };
    const calls = [
      impatient.createTopics([topic]),
      impatient.publish(topic, numbered(0, 1)),
      impatient.ends(topic),
      impatient.peek(topic, 0, 0),
      impatient.offsetsAt(topic, new Date()),
    ];
    await Promise.all(calls.map((call) => expect(call).rejects.toMatchObject(unreachable)));
    await expect
      .poll(() => broker.state())
      .toMatchObject({
        isUp: false,
        since: expect.any(Date),
        reason: expect.stringContaining("ECONNREFUSED"),
      });
    expect(listener.begins).toEqual([]);

    const patient = bench.broker();
    const gone = new Listener(patient, topic);
    const waiting = expect(patient.ends(topic)).rejects.toMatchObject(unreachable);
    await patient.close();
    await waiting;
    await gone.follower.close();

    await start();
    await until(() => broker.state().isUp);
    expect(broker.state().reason).toBeUndefined();
    // On a slow machine it gives up some more times before it succeeds.
    await until(() => impatient.createTopics([another]).then(() => true));
    await until(() => impatient.publish(another, numbered(0, 1)).then(() => true));
    await broker.createTopics([topic]);
    await broker.publish(topic, numbered(0, 3));
    await listener.untilNumbers([0, 1, 2]);
    const outsider = await bench.outsider();
    await until(async () => {
      (await outsider.createChannel()).on("error", () => {}).sendToQueue(`${topic}-in`, Buffer.from("hello"));
      return inbound.includes("hello");
    });
  });

  async function untilGivenUp(topic: string): Promise<void> {
    const channel = await (await bench.outsider()).createChannel();
    const end = new Promise((resolve) => channel.on("error", resolve));
    await channel.prefetch(1);
    await consumeStream(channel, topic, () => {}, { from: "first" });
    expect(String(await end)).toContain("acknowledgement");
  }

  it("goes on after a delivery took so long that the broker has given the reader up", async () => {
    const [broker, topic] = await bench.brokerWithTopic();
    await broker.publish(topic, numbered(0, 5));
    let under = 0;
    let most = 0;
    let resolve = () => {};
    let longDelivery = 0;
    const heard: number[] = [];
    const listener = new Listener(broker, topic, {
      begin: async () => {
        listener.begins.push(heard.length);
        return heard.length;
      },
      async deliver(_topic, _partition, messages) {
        most = Math.max(most, ++under);
        if (heard.length === 0) {
          longDelivery = messages.length;
          await new Promise<void>((go) => {
            resolve = go;
          });
        }
        heard.push(...messages.map(numberOf));
        under--;
      },
    });
    await until(() => under === 1);
    const begun = listener.begins.length;
    // Whoever reads after us is given up after us: the first one perhaps in the same round of the broker's looks.
    await untilGivenUp(topic);
    await untilGivenUp(topic);
    expect(listener.begins).toHaveLength(begun);
    resolve();
    await until(() => listener.begins.length > begun);
    await broker.publish(topic, numbered(5, 5));
    await until(() => heard.length === 10);
    expect(heard).toEqual(upTo(10));
    expect(most).toBe(1);
    // The five may have come in several packets, and thus not all in the delivery that took so long.
    expect(listener.begins[begun]).toBeGreaterThanOrEqual(longDelivery);
  });

  it("has a message counted as given once more, not more often, when the database is away for long", async () => {
    const broker = bench.broker();
    const topic = newTopic();
    let isAway = true;
    const tries: string[][] = [];
    const handle = async (messages: readonly { body: string }[]) => {
      tries.push(messages.map(({ body }) => body));
      if (isAway) throw new Error("the database is away");
    };
    broker.receive({ topic, group: "test", handle });
    const channel = await (await bench.outsider()).createChannel();
    channel.on("error", () => {});
    const consumers = () =>
      bench
        .outsider()
        .then((client) => client.createChannel())
        .then((probe) => probe.on("error", () => {}).checkQueue(topic))
        .then(
          ({ consumerCount }) => consumerCount,
          () => -1,
        );
    await until(async () => (await consumers()) === 1);
    channel.sendToQueue(topic, Buffer.from("hello"));
    await until(async () => (await consumers()) === 0);
    const before = tries.length;
    await until(() => tries.length > before + 1);
    expect(await consumers()).toBe(0);
    isAway = false;
    await until(async () => (await consumers()) === 1);
    await until(async () => (await channel.checkQueue(topic)).messageCount === 0);
    expect(new Set(tries.flat())).toEqual(new Set(["hello"]));
  });
});
