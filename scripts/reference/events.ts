import type { JsonSchema } from "./json-schema.ts";
import { code, heading, table } from "./markdown.ts";
import type { Publication, PublishedEvent } from "./schemas.ts";
import { services } from "./services.ts";

const silent = Object.entries(services).flatMap(([service, { events }]) =>
  events === null ? [service] : [],
);

export function eventsPage({ events, parts }: Publication): string {
  const shapes = Object.entries(parts).sort(([a], [b]) => (a < b ? -1 : 1));
  return `${heading("Events", "the event types in src/services/*/contract")}
What each service writes to its own log (\`catalog.log\`, \`inventory.log\`, …), one row for each batch. An event is
\`{type, subject, data, traceparent?, cause?}\`: \`subject\` names what it happened to, \`cause\` is the id of the event
that led to it, and the fields below are those of \`data\`. \`GET /v1/events\` serves them all as CloudEvents. Lines of the
inventory's events state what moved and what came of it, so whoever reads an event twice, or late, is still right.
Nothing is written by ${silent.join(", ")}: it only reads.

With Kafka or RabbitMQ each log is a topic too, and there are two more for systems outside. [asyncapi.json](asyncapi.json)
is the AsyncAPI document of all of them: keys, headers, how long messages are kept, where to begin. The \`data\` of each
event in each version has a JSON Schema in [schemas](schemas/). The schemas are open: fields may be added at any time, so
readers pass over those that they do not know, and types that they do not know as well. Whatever else would surprise a
reader comes as a new version with a type of its own, such as \`OrderCreated.v2\`
(see [ADR 22](../adr/0022-event-versions.md)).

${topicSections(events)}
## Parts of events

${shapes.map(([name, schema]) => `### ${name}\n\n${fieldTable(schema)}\n`).join("\n")}`;
}

function topicSections(events: readonly PublishedEvent[]): string {
  const byTopic = grouped(events, ({ topic }) => topic);
  return [...byTopic]
    .map(([topic, own]) => {
      const name = topic.address.replace("holdfast.", "");
      const note = topic.direction === "taken" ? "Sent by systems outside, and carried out once.\n\n" : "";
      return `## ${name}\n\n${note}${eventSections(own)}`;
    })
    .join("\n");
}

/** Events with the same data are described together. */
function eventSections(events: readonly PublishedEvent[]): string {
  const alike = grouped(events, ({ schema: { properties, required } }) =>
    JSON.stringify([properties, required]),
  );
  return [...alike.values()]
    .map((group) => {
      const names = group.map(({ type }) => type).join(", ");
      const about = group.map(({ type, file, schema }) => {
        const subject = group.length > 1 ? `${code(type)}: ` : "";
        return `${subject}${schema.description} ([schema](${file}))`;
      });
      return `### ${names}\n\n${about.join("\n\n")}\n\n${fieldTable(group[0]!.schema)}\n`;
    })
    .join("\n");
}

function fieldTable(schema: JsonSchema): string {
  return table(["field", "type", ""], fields(schema));
}

/** One row for each field, those of nested objects without a name included: `skus[].sku`. */
function fields({ properties, required }: JsonSchema, prefix = ""): string[][] {
  return Object.entries(properties ?? {}).flatMap(([field, schema]) => {
    const name = prefix + field;
    const type = typeOf(schema) + (required?.includes(field) ? "" : ", optional");
    const row = [code(name), type, schema.description ?? schema.items?.description ?? ""];
    if (schema.items?.properties !== undefined) return [row, ...fields(schema.items, `${name}[].`)];
    return schema.properties === undefined ? [row] : [row, ...fields(schema, `${name}.`)];
  });
}

function typeOf(schema: JsonSchema): string {
  if (schema.$ref !== undefined) return link(schema.$ref.split("/").at(-1)!);
  if (schema.anyOf !== undefined) return alternatives(schema.anyOf.map(typeOf));
  if (schema.enum !== undefined) {
    return alternatives(schema.enum.map((value) => (value === null ? "null" : code(String(value)))));
  }
  if (typeof schema.type === "object") {
    return alternatives(schema.type.map((type) => typeOf({ ...schema, type })));
  }
  switch (schema.type) {
    case "array":
      return `array of ${schema.items?.properties ? "objects" : typeOf(schema.items ?? {})}`;
    case "boolean":
      return "true or false";
    case "string":
      return schema.format === "date-time" ? "time" : "string";
    default:
      return schema.type ?? "anything";
  }
}

function alternatives(names: readonly string[]): string {
  return names.join(names.length > 2 ? ", " : " or ");
}

function link(name: string): string {
  return `[${name}](#${name.toLowerCase()})`;
}

function grouped<Item, Key>(items: readonly Item[], keyOf: (item: Item) => Key): Map<Key, Item[]> {
  const groups = new Map<Key, Item[]>();
  for (const item of items) groups.set(keyOf(item), [...(groups.get(keyOf(item)) ?? []), item]);
  return groups;
}
