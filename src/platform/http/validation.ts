import { Ajv } from "ajv";
import formats from "ajv-formats";
import type { FastifySchema, FastifySchemaCompiler } from "fastify";

interface JsonSchema {
  readonly [keyword: string]: unknown;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly additionalProperties?: unknown;
  readonly items?: JsonSchema;
  readonly anyOf?: readonly JsonSchema[];
}

const limits = new Set(["maxItems", "maxProperties", "maxLength"]);

/** What a route takes that has no schema for it. */
const nothing = { type: "object", properties: {} };

/**
 * The schema with every object closed, so that a misspelt field is refused instead of ignored. Routes without a
 * querystring schema take no query at all, and `bodies` says whether those without a body schema take any body or none.
 */
export function closeSchema(schema: FastifySchema, bodies: "any" | "none"): FastifySchema {
  const closed: FastifySchema = { ...schema, querystring: close(schema.querystring ?? nothing) };
  const body = schema.body ?? (bodies === "none" ? nothing : undefined);
  if (body !== undefined) closed.body = close(body);
  if (schema.params !== undefined) closed.params = close(schema.params);
  return closed;
}

function close(schema: JsonSchema | unknown): JsonSchema {
  const { properties, items, anyOf, ...rest } = schema as JsonSchema;
  // Without a limit the list of errors would grow with what the attacker sent.
  if (items !== undefined && rest.maxItems === undefined) throw new Error("an array without maxItems");
  return {
    ...rest,
    ...(properties && {
      properties: Object.fromEntries(Object.entries(properties).map(([name, value]) => [name, close(value)])),
      additionalProperties: rest.additionalProperties ?? false,
    }),
    ...(items && { items: close(items) }),
    ...(anyOf && { anyOf: anyOf.map(close) }),
  };
}

/** Bodies are taken as they are; query and path are strings by nature and are converted first. */
export function createValidatorCompiler(): FastifySchemaCompiler<JsonSchema> {
  const strict = createAjv({ coerceTypes: false, allErrors: false });
  const strictAll = createAjv({ coerceTypes: false, allErrors: true });
  const converting = createAjv({ coerceTypes: true, allErrors: true });

  return ({ schema, httpPart }) => {
    if (httpPart !== "body") return converting.compile(schema);

    const validate = strict.compile(schema);
    let validateAll: ReturnType<Ajv["compile"]> | undefined;
    return (body: unknown) => {
      // No body counts as an empty one: the answer then names the fields that are missing.
      const value = body ?? {};
      if (validate(value)) return { value };
      const errors = validate.errors ?? [];
      // What is too large is not searched for further errors: there may be a hundred thousand.
      if (errors.some(({ keyword }) => limits.has(keyword))) return { error: errors };
      validateAll ??= strictAll.compile(schema);
      validateAll(value);
      return { error: validateAll.errors ?? errors };
    };
  };
}

function createAjv(options: { coerceTypes: boolean; allErrors: boolean }): Ajv {
  const ajv = new Ajv({
    ...options,
    removeAdditional: false,
    useDefaults: true,
    strict: true,
    strictTypes: false,
  });
  formats.default(ajv);
  return ajv;
}
