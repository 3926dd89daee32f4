import { groupNameOf } from "../../../src/platform/bus/open.ts";
import { environmentName } from "../../../src/platform/config.ts";
import { settings } from "../../../src/platform/settings.ts";
import type { Direction } from "../compatibility.ts";
import type { JsonSchema } from "../json-schema.ts";
import type { Publication, PublishedEvent } from "../schemas.ts";
import { type Topic, topics } from "../topics.ts";
import { channelWords, retentionDays } from "./channels.ts";
import { exampleOf } from "./examples.ts";
import { headerSchemas, headersOf } from "./headers.ts";

type Json = Record<string, unknown>;

const actions: Readonly<Record<Direction, string>> = { sent: "send", taken: "receive" };
const kafkaVersion = { bindingVersion: "0.5.0" };
const amqpVersion = { bindingVersion: "0.3.0" };

/** The AsyncAPI 3.0 document of what goes over a broker. */
export function asyncApiDocument({ events, parts }: Publication, version: string): Json {
  return {
    asyncapi: "3.0.0",
    info: {
      title: "Holdfast",
      version,
      description:
        "What Holdfast says on Kafka or RabbitMQ, and what it listens to. Messages are CloudEvents 1.0, bodies JSON, times " +
        "RFC 3339 in UTC, money whole numbers in the smallest unit. Names of topics, partitions and how long messages are kept are those of the " +
        `default settings; \`${environmentName("topicPrefix")}\` stands before every name, that of the consumer group too. ` +
        "The `data` of each event is described once more, version by version, in JSON Schema beside this document. " +
        "A version changes only in ways that its readers do not notice: fields are added, so pass over those that you " +
        "do not know. Anything else is a new type, such as `OrderCreated.v2`.",
      license: { name: "MIT" },
    },
    defaultContentType: "application/json",
    servers,
    channels: Object.fromEntries(
      topics.map((topic) => [topic.address, channelOf(topic, ofTopic(events, topic))]),
    ),
    operations: Object.fromEntries(topics.map((topic) => operationOf(topic, ofTopic(events, topic)))),
    components: { schemas: { ...headerSchemas, ...payloads(events, parts) } },
  };
}

const servers = {
  kafka: {
    host: "localhost:9092",
    protocol: "kafka",
    title: "Apache Kafka",
    description: "With `HOLDFAST_BUS=kafka`. Your own brokers, with TLS and SASL as they ask for it.",
  },
  rabbitmq: {
    host: "localhost:5672",
    protocol: "amqp",
    title: "RabbitMQ",
    description:
      "With `HOLDFAST_BUS=rabbitmq`. Each topic is a stream: read it with `basic.consume` and `x-stream-offset`, or bind " +
      "a queue of your own to the exchange of the same name, whose routing keys are the messages' keys.",
  },
};

function ofTopic(events: readonly PublishedEvent[], topic: Topic): PublishedEvent[] {
  return events.filter((event) => event.topic === topic);
}

// ---- channels ------------------------------------------------------------------------------------------------------

function channelOf(topic: Topic, events: readonly PublishedEvent[]): Json {
  const messages = Object.fromEntries(events.map((event) => [event.type, messageOf(event)]));
  return {
    address: topic.address,
    ...channelWords(topic),
    messages: { ...messages, ...(topic.direction === "taken" && { StructuredEvent: structured(events) }) },
    bindings: { kafka: kafkaChannel(topic), amqp: amqpChannel(topic) },
  };
}

function kafkaChannel({ address }: Topic): Json {
  const topicConfiguration = { "cleanup.policy": ["delete"], "retention.ms": retentionDays * 86_400_000 };
  return {
    topic: address,
    partitions: settings.kafkaPartitions.default,
    topicConfiguration,
    ...kafkaVersion,
  };
}

function amqpChannel({ address, direction }: Topic): Json {
  return {
    is: "queue",
    queue: { name: address, durable: true, exclusive: false, autoDelete: false },
    "x-queue-arguments":
      direction === "sent"
        ? { "x-queue-type": "stream", "x-max-age": `${retentionDays}D` }
        : { "x-queue-type": "quorum", "x-dead-letter-exchange": `${address}.dead` },
    "x-exchange": { name: address, type: "topic", durable: true, autoDelete: false },
    ...amqpVersion,
  };
}

function messageOf(event: PublishedEvent): Json {
  const { topic, type, schema } = event;
  const { headers, payload } = exampleOf(event);
  return {
    name: type,
    title: type,
    description: schema.description,
    contentType: "application/json",
    headers: headersOf(topic, type),
    payload: { $ref: `#/components/schemas/${type}` },
    bindings: {
      kafka: {
        key: { type: "string", minLength: 1, description: keyWords(schema["x-key"]) },
        ...kafkaVersion,
      },
      amqp: { messageType: type, ...amqpVersion },
    },
    examples: [{ name: "binary", headers, payload }],
    ...(schema["x-key"] && { "x-key": schema["x-key"] }),
  };
}

function keyWords(rule: readonly string[] | undefined): string {
  if (rule === undefined) return "Yours to choose: messages of one key keep their order.";
  const [first, second] = rule.map((place) =>
    place === "subject" ? "the subject" : `\`${place.replace("data.", "")}\``,
  );
  return second === undefined ? `It is ${first}.` : `It is ${first}, or ${second} if that is null.`;
}

/** The same events as one JSON document each. */
function structured(events: readonly PublishedEvent[]): Json {
  const examples = events.map((event) => {
    const { headers, payload } = exampleOf(event);
    const attributes = Object.entries(headers).filter(([name]) => name.startsWith("ce_"));
    return {
      name: event.type,
      headers: { "content-type": "application/cloudevents+json" },
      payload: {
        ...Object.fromEntries(attributes.map(([name, value]) => [name.slice("ce_".length), value])),
        data: payload,
      },
    };
  });
  return {
    name: "StructuredEvent",
    title: "Either of them in structured mode",
    description:
      "The whole CloudEvent is the body. Over AMQP the content type is the property `content_type`.",
    contentType: "application/cloudevents+json",
    payload: {
      type: "object",
      required: ["specversion", "id", "source", "type", "data"],
      properties: {
        specversion: { type: "string", enum: ["1.0"] },
        id: { type: "string", minLength: 1 },
        source: { type: "string", minLength: 1 },
        type: { type: "string", enum: events.map(({ type }) => type) },
        subject: { type: "string", minLength: 1 },
        time: { type: "string", format: "date-time" },
        datacontenttype: { type: "string", enum: ["application/json"] },
        data: { anyOf: events.map(({ type }) => ({ $ref: `#/components/schemas/${type}` })) },
      },
    },
    examples,
  };
}

// ---- operations ----------------------------------------------------------------------------------------------------

function operationOf(topic: Topic, events: readonly PublishedEvent[]): [string, Json] {
  const { address, direction } = topic;
  const action = actions[direction];
  const names = [...events.map(({ type }) => type), ...(direction === "taken" ? ["StructuredEvent"] : [])];
  const isSent = direction === "sent";
  const operation = {
    action,
    channel: { $ref: `#/channels/${address}` },
    summary: isSent ? `Holdfast sends to ${address}.` : `Holdfast takes what others send to ${address}.`,
    messages: names.map((name) => ({ $ref: `#/channels/${address}/messages/${name}` })),
    bindings: {
      kafka: {
        ...(!isSent && { groupId: { type: "string", enum: [groupNameOf(address)] } }),
        ...kafkaVersion,
      },
      amqp: { ...(isSent ? { deliveryMode: 2, mandatory: true } : { ack: true }), ...amqpVersion },
    },
  };
  return [`${action}.${address}`, operation];
}

// ---- payloads ------------------------------------------------------------------------------------------------------

/** The published schemas, as one document knows them: parts under its components. */
function payloads(
  events: readonly PublishedEvent[],
  parts: Readonly<Record<string, JsonSchema>>,
): Record<string, unknown> {
  const own = events.map(({ type, schema }) => {
    const { $schema, $id, $defs, "x-topic": _topic, "x-key": _key, ...payload } = schema;
    return [type, payload] as const;
  });
  const shared = Object.entries(parts).sort(([a], [b]) => (a < b ? -1 : 1));
  const names = [...own, ...shared].map(([name]) => name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw new Error(`${twice} is the name of an event and of a part of events`);
  const text = JSON.stringify(Object.fromEntries([...own, ...shared]));
  return JSON.parse(text.replaceAll('"#/$defs/', '"#/components/schemas/'));
}
