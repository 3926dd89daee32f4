import { incompatibilities } from "./compatibility.ts";
import { contractOf } from "./contract-reader.ts";
import type { EventSchema } from "./json-schema.ts";
import { type PublishedEvent, versionOf } from "./schemas.ts";
import { topics } from "./topics.ts";

/** By file, as they have been published. */
export type PublishedSchemas = ReadonlyMap<string, EventSchema>;

/** What those who know the published versions would stumble over, and what to do instead; nothing if all is well. */
export function refusals(published: PublishedSchemas, events: readonly PublishedEvent[]): string[] {
  const byFile = new Map(events.map((event) => [event.file, event]));
  return [...published].flatMap(([file, before]) => {
    const event = byFile.get(file);
    if (event === undefined) return [gone(file, before)];
    const found = incompatibilities(before, event.schema, event.topic.direction);
    return found.length === 0 ? [] : [changed(event, found, published)];
  });
}

function gone(file: string, { title, "x-topic": address }: EventSchema): string {
  const reader = topics.find((topic) => topic.address === address)?.direction === "taken" ? "sends" : "reads";
  return `${title}: no contract has it any more, and docs/reference/${file} promises it.
  Leave the type in the contract for as long as anybody ${reader} it, or old logs have it; once nobody does, delete that file.`;
}

function changed(
  { topic, type, file }: PublishedEvent,
  found: readonly string[],
  published: PublishedSchemas,
): string {
  const { name, version } = versionOf(type);
  const versions = [...published.values()].map(({ title }) => versionOf(title));
  const next =
    1 + Math.max(version, ...versions.filter((one) => one.name === name).map((one) => one.version));
  const who = topic.direction === "taken" ? "whoever sends it" : "whoever reads it";
  return `${type} would not be what ${who} knows (docs/reference/${file}):
${found.map((what) => `  - ${what}`).join("\n")}
  Leave this version as it was, and declare the change as a type of its own beside it: "${name}.v${next}", in the same
  union of ${contractOf(topic.service)} (see docs/adr/0022-event-versions.md). If no release has had this
  version yet, delete the file and run \`npm run docs\` again.`;
}
