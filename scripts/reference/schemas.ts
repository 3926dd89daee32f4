import { ContractReader } from "./contract-reader.ts";
import { descriptions } from "./descriptions.ts";
import { type EventSchema, type JsonSchema, partsOf } from "./json-schema.ts";
import { sources, type Topic, topics } from "./topics.ts";

/** One version of an event, as it is published. */
export interface PublishedEvent {
  readonly topic: Topic;
  /** As messages spell it: from the second version on it ends in the version, as in `OrderCreated.v2`. */
  readonly type: string;
  /** Within docs/reference. */
  readonly file: string;
  readonly schema: EventSchema;
}

export interface Publication {
  readonly events: readonly PublishedEvent[];
  /** Objects that events have in common. */
  readonly parts: Readonly<Record<string, JsonSchema>>;
}

export const schemaDirectory = "schemas";

export function publishedEvents(): Publication {
  const reader = new ContractReader(sources);
  const undescribed = new Map(Object.entries(descriptions));
  const events = topics.flatMap((topic) =>
    topic.read(reader).flatMap(({ types, about, data }) =>
      types.map((type): PublishedEvent => {
        const { name, version } = versionOf(type);
        const words = [descriptions[name], about].filter(Boolean).join(" ");
        if (words === "") throw new Error(`${type} has no comment that says what has happened`);
        undescribed.delete(name);
        const key = topic.keyOf?.(data);
        return {
          topic,
          type,
          file: `${schemaDirectory}/${topic.service}/${name}.v${version}.json`,
          schema: {
            $schema: "https://json-schema.org/draft/2020-12/schema",
            $id: `urn:holdfast:${topic.service}:${name}:v${version}`,
            title: type,
            description: words,
            "x-topic": topic.address,
            ...(key && { "x-key": key }),
            ...data,
          },
        };
      }),
    ),
  );
  if (undescribed.size > 0) throw new Error(`there is no event ${[...undescribed.keys()].join(", ")}`);
  return { events: events.map((event) => withParts(event, reader.definitions)), parts: reader.definitions };
}

/** The first version is spelt without a number, since nobody knew then that there would be another one. */
export function versionOf(type: string): { name: string; version: number } {
  const [, name, version] = /^([A-Z][A-Za-z]*)(?:\.v([2-9]|[1-9][0-9]+))?$/.exec(type) ?? [];
  if (name === undefined)
    throw new Error(`${type} is no event's type: they look like OrderCreated or OrderCreated.v2`);
  return { name, version: Number(version ?? 1) };
}

function withParts(event: PublishedEvent, parts: Readonly<Record<string, JsonSchema>>): PublishedEvent {
  const names = partsOf(event.schema, parts);
  if (names.length === 0) return event;
  const $defs = Object.fromEntries(names.map((name) => [name, parts[name]!]));
  return { ...event, schema: { ...event.schema, $defs } };
}
