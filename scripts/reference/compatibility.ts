import { deref, type JsonSchema } from "./json-schema.ts";

/** From our point of view: what we send is read by others, what we take was written by them. */
export type Direction = "sent" | "taken";

type Kind =
  /** There is more that a message may look like now. */
  | "looser"
  /** There is less that it may look like. */
  | "tighter"
  | "field_gone"
  | "field_added"
  | "required_field_added"
  | "other";

interface Change {
  readonly kind: Kind;
  readonly field: string;
  readonly what: string;
}

/**
 * Others go on reading what we send by the schema that they know, so it may only become narrower, and have more fields;
 * and they go on sending what we take, so all that was right must stay so. A field that is gone is missed either way.
 */
const refused: Readonly<Record<Direction, ReadonlySet<Kind>>> = {
  sent: new Set(["looser", "field_gone", "other"]),
  taken: new Set(["tighter", "field_gone", "required_field_added", "other"]),
};

/** What whoever knows the schema as it was before would stumble over, in words, each with its field. */
export function incompatibilities(before: JsonSchema, after: JsonSchema, direction: Direction): string[] {
  return [...annotations(before, after), ...changes({ before, after }, before, after, "data")]
    .filter(({ kind }) => refused[direction].has(kind))
    .map(({ field, what }) => `${field} ${what}`);
}

/** They tell people something, and programs nothing. */
const words = ["$schema", "$id", "$defs", "title", "description", "examples", "default"];

interface Roots {
  readonly before: JsonSchema;
  readonly after: JsonSchema;
}

/** Whoever follows a topic and counts on the order within a key notices when either is another one. */
function annotations(before: JsonSchema, after: JsonSchema): Change[] {
  const names = { "x-topic": "the topic", "x-key": "the key" };
  return Object.entries(names).flatMap(([name, field]) => {
    const [was, is] = [before, after].map((schema) => text((schema as Record<string, unknown>)[name]));
    return was === is ? [] : [{ kind: "other", field, what: `was ${was} and is ${is}` } as const];
  });
}

function changes(roots: Roots, before: JsonSchema, after: JsonSchema, field: string): Change[] {
  const [old, now] = [alternatives(before, roots.before), alternatives(after, roots.after)];
  const change = (kind: Kind, what: string): Change => ({ kind, field, what });
  const list = (types: string[]) => types.join(" or ");
  if ([...old.keys()].join() === "anything" || [...now.keys()].join() === "anything") {
    if (old.has("anything") && now.has("anything")) return [];
    return now.has("anything")
      ? [change("looser", `was ${list([...old.keys()])} and may be anything`)]
      : [change("tighter", `might be anything and is ${list([...now.keys()])}`)];
  }
  const gone = [...old.keys()].filter((type) => !now.has(type));
  const come = [...now.keys()].filter((type) => !old.has(type));
  if (gone.length === old.size) return [change("other", `was ${list(gone)} and is ${list(come)}`)];
  return [
    ...(gone.length > 0 ? [change("tighter", `is ${list(gone)} no more`)] : []),
    ...(come.length > 0 ? [change("looser", `may be ${list(come)} now`)] : []),
    ...[...old].flatMap(([type, were]) => {
      const are = now.get(type);
      return are === undefined ? [] : alternativeChanges(roots, were, are, field);
    }),
  ];
}

/** What a value may be, by its type in JSON; whole numbers are numbers. */
function alternatives(schema: JsonSchema, root: JsonSchema): Map<string, JsonSchema[]> {
  const found = new Map<string, JsonSchema[]>();
  const add = (alternative: JsonSchema): void => {
    const plain = deref(alternative, root);
    for (const one of plain.anyOf ?? []) add(one);
    for (const type of plain.anyOf === undefined ? typesOf(plain) : []) {
      const name = type === "integer" ? "number" : type;
      const values = valuesOf(plain)?.filter((value) => typeOf(value) === name);
      const own = { ...concerning(name, plain), type, ...(values && { enum: values }) };
      found.set(name, joined(found.get(name) ?? [], own));
    }
  };
  add(schema);
  return found;
}

/** A list of values that is spelt as alternatives is a list of values. */
function joined(known: readonly JsonSchema[], more: JsonSchema): JsonSchema[] {
  const isList = (schema: JsonSchema) => Object.keys(schema).sort().join() === "enum,type";
  const [first] = known;
  if (known.length !== 1 || !isList(first!) || !isList(more)) return [...known, more];
  return [{ ...first!, enum: [...first!.enum!, ...more.enum!] }];
}

const concerns: Readonly<Record<string, readonly string[]>> = {
  string: ["minLength", "maxLength", "pattern", "format"],
  number: ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"],
  array: ["items", "minItems", "maxItems", "uniqueItems"],
  object: ["properties", "required", "additionalProperties"],
};

/** Without what says something about values of another type, and without words. */
function concerning(type: string, schema: JsonSchema): JsonSchema {
  const others = Object.entries(concerns).flatMap(([other, names]) => (other === type ? [] : names));
  const silent = new Set([...others, ...words, "const", "enum"]);
  return Object.fromEntries(Object.entries(schema).filter(([name]) => !silent.has(name)));
}

function typesOf({ type, ...schema }: JsonSchema): readonly string[] {
  if (type !== undefined) return typeof type === "string" ? [type] : type;
  const values = valuesOf(schema);
  return values === undefined ? ["anything"] : [...new Set(values.map(typeOf))];
}

function valuesOf(schema: JsonSchema): readonly unknown[] | undefined {
  return schema.const === undefined ? schema.enum : [schema.const];
}

function typeOf(value: unknown): string {
  if (value === null) return "null";
  return Array.isArray(value) ? "array" : typeof value;
}

function alternativeChanges(roots: Roots, were: JsonSchema[], are: JsonSchema[], field: string): Change[] {
  if (were.length > 1 || are.length > 1) {
    const isSame = text(were) === text(are);
    return isSame ? [] : [{ kind: "other", field, what: "has other alternatives, which are not compared" }];
  }
  const [before, after] = [were[0]!, are[0]!];
  return [
    ...wholeness(before, after, field),
    ...listed(before, after, field),
    ...bounds(before, after, field),
    ...rules(before, after, field),
    ...fields(roots, before, after, field),
    ...items(roots, before, after, field),
  ];
}

function wholeness(before: JsonSchema, after: JsonSchema, field: string): Change[] {
  if (before.type === after.type) return [];
  return after.type === "number"
    ? [{ kind: "looser", field, what: "was a whole number and may be a fraction" }]
    : [{ kind: "tighter", field, what: "might be a fraction and is a whole number" }];
}

function listed({ enum: were }: JsonSchema, { enum: are }: JsonSchema, field: string): Change[] {
  if (were === undefined && are === undefined) return [];
  if (are === undefined) return [{ kind: "looser", field, what: "is not one of a list any more" }];
  if (were === undefined) return [{ kind: "tighter", field, what: "is one of a list now" }];
  const without = (values: readonly unknown[], others: readonly unknown[]) =>
    values.filter((value) => !others.includes(value)).map(text);
  const [gone, come] = [without(were, are), without(are, were)];
  return [
    ...(gone.length > 0
      ? [{ kind: "tighter", field, what: `is never ${gone.join(", ")} now` } as const]
      : []),
    ...(come.length > 0 ? [{ kind: "looser", field, what: `may be ${come.join(", ")} now` } as const] : []),
  ];
}

const lower = ["minimum", "minLength", "minItems"] as const;
const upper = ["maximum", "maxLength", "maxItems"] as const;

function bounds(before: JsonSchema, after: JsonSchema, field: string): Change[] {
  const compare = (name: (typeof lower | typeof upper)[number], sign: 1 | -1): Change[] => {
    const [was, is] = [before[name], after[name]];
    if (was === is) return [];
    const isTighter = was === undefined || (is !== undefined && (is - was) * sign > 0);
    const what = `had ${name} ${was ?? "unbounded"} and has ${is ?? "unbounded"}`;
    return [{ kind: isTighter ? "tighter" : "looser", field, what }];
  };
  return [...lower.flatMap((name) => compare(name, 1)), ...upper.flatMap((name) => compare(name, -1))];
}

const compared = new Set<string>(
  [...lower, ...upper, "type", "enum", "properties", "required", "items"].concat(["x-topic", "x-key"]),
);

/** Keywords of which it can only be said that they are there, and the same. */
function rules(before: JsonSchema, after: JsonSchema, field: string): Change[] {
  const [old, now] = [before, after].map((schema) => {
    // What is open says so or says nothing.
    const kept = Object.entries(schema).filter(
      ([name, value]) => !compared.has(name) && !(name === "additionalProperties" && value === true),
    );
    return new Map(kept.map(([name, value]) => [name, text(value)]));
  }) as [Map<string, string>, Map<string, string>];
  return [...new Set([...old.keys(), ...now.keys()])].flatMap((name): Change[] => {
    const [was, is] = [old.get(name), now.get(name)];
    if (was === is) return [];
    if (was === undefined) return [{ kind: "tighter", field, what: `has ${name} ${is} now` }];
    if (is === undefined) return [{ kind: "looser", field, what: `had ${name} ${was} and has none` }];
    return [{ kind: "other", field, what: `had ${name} ${was} and has ${is}` }];
  });
}

function fields(roots: Roots, before: JsonSchema, after: JsonSchema, place: string): Change[] {
  const [old, now] = [before.properties ?? {}, after.properties ?? {}];
  const [needed, needs] = [new Set(before.required), new Set(after.required)];
  const kept = Object.keys(old).flatMap((name): Change[] => {
    const field = `${place}.${name}`;
    if (now[name] === undefined) return [{ kind: "field_gone", field, what: "is gone" }];
    const found = changes(roots, old[name]!, now[name], field);
    if (needed.has(name) === needs.has(name)) return found;
    return needs.has(name)
      ? [{ kind: "tighter", field, what: "must be there now" }, ...found]
      : [{ kind: "looser", field, what: "may be missing now" }, ...found];
  });
  const added = Object.keys(now).filter((name) => old[name] === undefined);
  return [
    ...kept,
    ...added.map((name): Change => {
      const kind = needs.has(name) ? "required_field_added" : "field_added";
      return { kind, field: `${place}.${name}`, what: "is new" };
    }),
  ];
}

function items(roots: Roots, before: JsonSchema, after: JsonSchema, field: string): Change[] {
  if (before.items === undefined && after.items === undefined) return [];
  return changes(roots, before.items ?? {}, after.items ?? {}, `${field}[]`);
}

function text(value: unknown): string {
  return JSON.stringify(value) ?? "nothing";
}
