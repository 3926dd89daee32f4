import zlib from "node:zlib";
import { expect, it } from "vitest";
import { describeKafka, useKafka } from "../../../testing/brokers.ts";
import { type Codec, sendFromJava } from "../../../testing/java-producer.ts";
import { KafkaBench, Listener, newName, numbered, until, upTo } from "../../../testing/kafka.ts";
import { createLogger } from "../../telemetry/logger.ts";
import type { InboundMessage, ReceivedMessage } from "../broker/broker.ts";

const knowsZstd = "zstdDecompressSync" in zlib;
const known: readonly Codec[] = ["none", "gzip", "snappy", "lz4", ...(knowsZstd ? (["zstd"] as const) : [])];

describeKafka("messages that a Java client has compressed", () => {
  const kafka = useKafka();
  const bench = new KafkaBench(() => kafka.brokers);

  it("are understood, however many blocks they take", async () => {
    const [broker, topic] = await bench.brokerWithTopic({ partitions: 1 });
    const lines = upTo(20).map((n) => JSON.stringify({ n, text: `${n} ünï `.repeat(1_000) }));
    const received: InboundMessage[] = [];
    broker.receive({ topic, group: newName(), handle: async (messages) => void received.push(...messages) });
    await Promise.all(known.map((codec) => sendFromJava(kafka.brokers, topic, codec, lines)));
    await until(() => received.length === lines.length * known.length);
    const bodies = received.map(({ body }) => body);
    expect([...bodies].sort()).toEqual(known.flatMap(() => lines).sort());
    expect(received.filter(({ unreadable }) => unreadable !== undefined)).toEqual([]);
  });

  it("with zstd, which not every Node.js can read, stop nothing, and are told of when they are not read", async () => {
    const [broker, topic] = await bench.brokerWithTopic({ partitions: 1 });
    await broker.publish(topic, numbered(0, 3));
    await sendFromJava(kafka.brokers, topic, "zstd", ["one", "two"]);
    await broker.publish(topic, numbered(3, 3));
    const received: InboundMessage[] = [];
    broker.receive({ topic, group: newName(), handle: async (messages) => void received.push(...messages) });
    await until(() => received.some(({ place }) => place.endsWith("@7")));
    const place = `${topic}/0@3-4`;
    const unreadable = `What stands at ${place} cannot be read: zstd needs Node.js 22.15 or newer.`;
    const one = { attributes: {}, body: "one", place: `${topic}/0@3` };
    const two = { attributes: {}, body: "two", place: `${topic}/0@4` };
    const expected = knowsZstd ? [one, two] : [{ attributes: {}, body: "", place, unreadable }];
    expect(received.slice(3, -3)).toEqual(expected);
  });

  it("with zstd, are passed over in a topic of ours, with a line in the log, and stop no partition", async () => {
    const lines: Record<string, unknown>[] = [];
    const logger = createLogger("error", { write: (line) => lines.push(JSON.parse(line)) });
    const [broker, topic] = await bench.brokerWithTopic({ logger });
    await broker.publish(topic, numbered(0, 50));
    await sendFromJava(kafka.brokers, topic, "zstd", ["one", "two"]);
    await broker.publish(topic, numbered(50, 50));
    const listener = new Listener(broker, topic);
    const isOurs = ({ attributes }: ReceivedMessage) => attributes.id !== undefined;
    const foreign = () => listener.heard.filter((message) => !isOurs(message));
    await until(() => foreign().length > 0 && listener.heard.filter(isOurs).length === 100);
    const { partition, offset: last } = foreign().at(-1)!;
    const reason = expect.stringContaining("zstd");
    expect(lines).toMatchObject(knowsZstd ? [] : [{ topic, partition, first: last - 1, last, reason }]);
    expect(await broker.peek(topic, partition, last)).toMatchObject({ offset: last, attributes: {} });
  });
});
