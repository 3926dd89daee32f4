/** The part of JSON Schema that the events' schemas are written in: it means the same in draft 07 and in 2020-12. */
export interface JsonSchema {
  readonly $schema?: string;
  readonly $id?: string;
  readonly $ref?: string;
  readonly $defs?: Readonly<Record<string, JsonSchema>>;
  readonly title?: string;
  readonly description?: string;
  readonly type?: string | readonly string[];
  readonly format?: string;
  readonly pattern?: string;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly items?: JsonSchema;
  readonly anyOf?: readonly JsonSchema[];
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean;
  readonly examples?: readonly unknown[];
}

export interface EventSchema extends JsonSchema {
  readonly $id: string;
  readonly title: string;
  readonly description: string;
  readonly $defs?: Readonly<Record<string, JsonSchema>>;
  readonly "x-topic": string;
  /** What the message's key is: the first of these that there is. Absent: whoever sends it says. */
  readonly "x-key"?: readonly string[];
}

export function deref(schema: JsonSchema, root: JsonSchema): JsonSchema {
  if (schema.$ref === undefined) return schema;
  const name = schema.$ref.split("/").at(-1)!;
  const target = root.$defs?.[name];
  if (target === undefined)
    throw new Error(`${root.$id ?? "the schema"} refers to ${schema.$ref}, which it lacks`);
  return target;
}

/** The names of the definitions that a schema refers to, those of the definitions themselves included. */
export function partsOf(schema: JsonSchema, definitions: Readonly<Record<string, JsonSchema>>): string[] {
  const found = new Set<string>();
  const look = (node: unknown): void => {
    if (node === null || typeof node !== "object") return;
    const { $ref } = node as JsonSchema;
    const name = typeof $ref === "string" ? $ref.split("/").at(-1)! : undefined;
    if (name !== undefined && !found.has(name)) {
      found.add(name);
      look(definitions[name]);
    }
    for (const value of Object.values(node)) look(value);
  };
  look(schema);
  return [...found].sort();
}
