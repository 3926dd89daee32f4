import { z } from "zod";

/** One setting: the parser, `holdfast config` and the reference page are all made from this table. */
export interface Setting<Value> {
  /** Takes the text of an environment variable as well as the JSON value of the file. */
  readonly schema: z.ZodType<Value>;
  readonly default: Value;
  readonly description: string;
  readonly secret: boolean;
}

export const settings = {
  host: setting(text("an address or host name"), "127.0.0.1", "Address that the HTTP server listens on."),
  port: setting(integer(0, 65_535), 7400, "Port of the HTTP server; 0 takes any free one."),
  dataDir: setting(text("a directory"), ".holdfast", "Where the embedded database and its files live."),
  databaseUrl: secret(
    postgresUrl(),
    "PostgreSQL to use. Absent: an embedded one is started in the data directory.",
  ),
  services: setting(
    listOf("catalog", "inventory"),
    ["catalog", "inventory"],
    "Services that this process runs.",
  ),
  defaultStore: setting(
    text("1 to 128 characters", 128),
    "main",
    "Store in which a new SKU's stock record is opened.",
  ),
  holdTtlSeconds: setting(
    integer(1, 31_536_000),
    900,
    "How long a reservation is held when it does not say so itself.",
  ),
  lowStockThreshold: setting(
    integer(0, 2_147_483_647),
    5,
    "LowStock is announced when the available quantity falls to this.",
  ),
  logLevel: setting(
    oneOf("fatal", "error", "warn", "info", "debug", "trace", "silent"),
    "info",
    "Least severe level that is logged.",
  ),
  demo: setting(
    flag(),
    true,
    "Load the small demo catalogue into an empty embedded database at the first start.",
  ),
  bodyLimitBytes: setting(integer(1_024, 104_857_600), 1_048_576, "Largest request body that is accepted."),
  rateLimitPerMinute: optional(
    integer(1, 100_000_000),
    "Requests a minute from one API key, or from one address without a key. Absent: no limit.",
  ),
  mailboxDepth: setting(
    integer(1, 10_000_000),
    20_000,
    "Commands that may wait for one service; beyond it requests are answered 503.",
  ),
};

export type SettingKey = keyof typeof settings;

export type Config = {
  readonly [Key in SettingKey]: (typeof settings)[Key] extends Setting<infer Value> ? Value : never;
};

function setting<Value>(
  schema: z.ZodType<Value>,
  value: NoInfer<Value>,
  description: string,
): Setting<Value> {
  return { schema, default: value, description, secret: false };
}

function optional<Value>(schema: z.ZodType<Value>, description: string): Setting<Value | undefined> {
  return { schema, default: undefined, description, secret: false };
}

function secret<Value>(schema: z.ZodType<Value>, description: string): Setting<Value | undefined> {
  return { ...optional(schema, description), secret: true };
}

// The description of a schema completes the sentence "NAME wants …" when a value is refused.

function text(wants: string, maxLength = 4_096) {
  return z.string().trim().min(1).max(maxLength).describe(wants);
}

function integer(min: number, max: number) {
  const digits = z
    .string()
    .trim()
    .regex(/^-?\d+$/)
    .transform(Number);
  return z
    .union([z.number(), digits])
    .pipe(z.int().min(min).max(max))
    .describe(`a whole number from ${min} to ${max}`);
}

function flag() {
  return z.union([z.boolean(), z.stringbool()]).describe("true or false");
}

function oneOf<const Name extends string>(...names: Name[]) {
  return z.enum(names).describe(`one of ${names.join(", ")}`);
}

function listOf<const Name extends string>(...names: Name[]) {
  const words = z.string().transform((list) => list.split(",").map((word) => word.trim()));
  return z
    .union([words, z.array(z.string())])
    .pipe(z.array(z.enum(names)).min(1))
    .transform((list) => [...new Set(list)])
    .describe(`a comma-separated list out of ${names.join(", ")}`);
}

function postgresUrl() {
  return z
    .url({ protocol: /^postgres(ql)?$/ })
    .describe("a URL such as postgres://user:password@host:5432/database");
}
