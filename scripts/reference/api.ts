import { withCommas } from "../../src/kernel/number.ts";
import { code, heading, table } from "./markdown.ts";
import { services } from "./services.ts";

interface Schema {
  readonly $id?: string;
  readonly $ref?: string;
  readonly type?: string;
  readonly format?: string;
  readonly pattern?: string;
  readonly description?: string;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Schema[];
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly default?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
}

interface Parameter {
  readonly in: "path" | "query" | "header";
  readonly name: string;
  readonly required?: boolean;
  readonly description?: string;
  readonly schema: Schema;
}

type Content = Readonly<Record<string, { readonly schema: Schema }>>;

interface Operation {
  readonly summary?: string;
  readonly description?: string;
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly content: Content; readonly required?: boolean };
  readonly responses: Readonly<Record<string, { readonly content?: Content }>>;
}

interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
}

export function apiPage(openapi: object): string {
  const { paths, components } = openapi as Document;
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      title: `${method.toUpperCase()} ${path}`,
      operation,
    })),
  );
  const objects = Object.entries({ ...components.schemas, ...namedSchemas() });
  objects.sort(([a], [b]) => (a < b ? -1 : 1));
  const nameOf = new Map(objects.map(([name, schema]) => [JSON.stringify(schema.properties), name]));
  return `${heading("HTTP API", "the OpenAPI document")}
A running server shows the same at \`/docs\` and serves the document at \`/openapi.json\`; the one beside this page,
[openapi.json](openapi.json), is for generators. Bodies are JSON, times RFC 3339 in UTC, money whole numbers in the
smallest unit. Unknown fields are refused. Errors are problem documents: see [errors.md](errors.md). What answered 2xx
is durable.

${operations.map(({ title }) => `- [\`${title}\`](#${anchor(title)})`).join("\n")}

${operations.map(({ title, operation }) => section(title, operation, nameOf)).join("\n")}
## Objects

${objects.map(([name, schema]) => objectSection(name, schema)).join("\n")}`;
}

/** The document spells out what an operation answers; under its name it is described once. */
function namedSchemas(): Record<string, Schema> {
  const schemas = Object.values(services)
    .flatMap(({ contract }) => Object.values(contract))
    .filter((value): value is Schema => typeof value === "object");
  return Object.fromEntries(schemas.flatMap((schema) => (schema.$id ? [[schema.$id, schema]] : [])));
}

function anchor(title: string): string {
  return title
    .toLowerCase()
    .replaceAll(/[^a-z0-9 _-]/g, "")
    .replaceAll(" ", "-");
}

function section(title: string, operation: Operation, nameOf: ReadonlyMap<string, string>): string {
  const { summary, description, parameters = [], requestBody, responses } = operation;
  const parts = [`## ${title}`, `${summary}.`, description];
  if (parameters.length > 0) {
    const rows = parameters.map(({ name, in: place, required, description, schema }) => [
      code(name),
      place,
      typeOf(schema) + (required || place === "path" || schema.default !== undefined ? "" : ", optional"),
      description ?? schema.description ?? "",
    ]);
    parts.push(table(["parameter", "in", "type", ""], rows));
  }
  const body = requestBody?.content["application/json"]?.schema;
  if (body !== undefined) parts.push(table(["body", "type", ""], fields(body)));
  const answers = new Map<string, string[]>();
  for (const [status, { content }] of Object.entries(responses)) {
    const answer = answerOf(content, nameOf);
    if (answer === undefined) continue;
    answers.set(answer, [...(answers.get(answer) ?? []), status]);
  }
  for (const [answer, statuses] of answers) parts.push(`Answers ${statuses.join(" or ")}${answer}`);
  return `${parts.filter(Boolean).join("\n\n")}\n`;
}

function answerOf(content: Content | undefined, nameOf: ReadonlyMap<string, string>): string | undefined {
  const [type] = Object.keys(content ?? {});
  if (type === "application/problem+json") return undefined;
  if (type === undefined) return ", without a body.";
  const schema = content![type]!.schema;
  if (type !== "application/json") return `: ${code(type)}.`;
  const name = nameOf.get(JSON.stringify(schema.properties));
  if (name !== undefined) return `: ${link(name)}`;
  const rows = fields(schema);
  return rows.length === 0 ? ", an empty object." : `:\n\n${table(["field", "type", ""], rows)}`;
}

function objectSection(name: string, schema: Schema): string {
  const about = schema.description === undefined ? "" : `${schema.description}\n\n`;
  return `### ${name}\n\n${about}${table(["field", "type", ""], fields(schema))}\n`;
}

/** One row for each field, those of nested objects included: `lines[].sku`. */
function fields(schema: Schema, prefix = ""): string[][] {
  const required = new Set(schema.required);
  return Object.entries(schema.properties ?? {}).flatMap(([name, field]) => {
    const path = prefix + name;
    const optional = required.has(name) || field.default !== undefined ? "" : ", optional";
    const row = [code(path), typeOf(field) + optional, field.description ?? field.items?.description ?? ""];
    const value = field.anyOf?.find(({ type }) => type !== "null") ?? field;
    if (value.properties !== undefined) return [row, ...fields(value, `${path}.`)];
    if (value.items?.properties !== undefined) return [row, ...fields(value.items, `${path}[].`)];
    return [row];
  });
}

function typeOf(schema: Schema): string {
  if (schema.$ref !== undefined) return link(schema.$ref.split("/").at(-1)!);
  if (schema.anyOf !== undefined) return schema.anyOf.map(typeOf).join(" or ");
  if (schema.enum !== undefined) return schema.enum.map((value) => code(String(value))).join(", ");
  if (schema.type === "array") {
    return `array of ${schema.items?.properties ? "objects" : typeOf(schema.items ?? {})}${range(schema.minItems, schema.maxItems, "")}`;
  }
  const type = schema.format === "date-time" ? "time" : (schema.type ?? "any");
  const limits =
    range(schema.minimum, schema.maximum, "") + range(schema.minLength, schema.maxLength, " characters");
  const preset = schema.default === undefined ? "" : `, ${code(String(schema.default))} by default`;
  return type + limits + preset;
}

function link(name: string): string {
  return `[${name}](#${name.toLowerCase()})`;
}

function range(min: number | undefined, max: number | undefined, unit: string): string {
  if (min === undefined && max === undefined) return "";
  if (max === undefined) return `, at least ${withCommas(min!)}${unit}`;
  if (min === undefined) return `, at most ${withCommas(max)}${unit}`;
  return `, ${withCommas(min)} to ${withCommas(max)}${unit}`;
}
