import { z } from "zod";

/** One setting: the parser, `holdfast config` and the reference page are all made from this table. */
export interface Setting<Value> {
  /** Takes the text of an environment variable as well as the JSON value of the file. */
  readonly schema: z.ZodType<Value>;
  readonly default: Value;
  readonly description: string;
  readonly secret: boolean;
}

export const serviceNames = [
  "catalog",
  "inventory",
  "orders",
  "payments",
  "fulfillment",
  "carts",
  "storefront",
] as const;

export type ServiceName = (typeof serviceNames)[number];

/** How many days a service's log is kept; 0: for ever. */
export class Retention {
  private readonly days: number;
  private readonly own: ReadonlyMap<string, number>;

  constructor(days: number, own: ReadonlyMap<string, number> = new Map()) {
    this.days = days;
    this.own = own;
  }

  daysOf(service: string): number {
    return this.own.get(service) ?? this.days;
  }

  toString(): string {
    return [this.days, ...[...this.own].map(([service, days]) => `${service}=${days}`)].join();
  }
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
    listOf(...serviceNames),
    [...serviceNames],
    "Services that this process runs. The others run in other processes: on the same database, or with a broker on any.",
  ),
  bus: setting(
    oneOf("postgres", "kafka", "rabbitmq"),
    "postgres",
    "What carries events between the services. With a broker, services can have databases of their own.",
  ),
  kafkaBrokers: optional(
    addresses(),
    "Kafka's brokers to begin with, such as `kafka-1:9092,kafka-2:9092`; needed with the bus kafka.",
  ),
  kafkaPartitions: setting(
    integer(1, 1_000),
    6,
    "Partitions of a topic that is made: as many processes of a service can work side by side.",
  ),
  kafkaSsl: setting(flag(), false, "Speak TLS with Kafka."),
  brokerCaFile: optional(
    text("a path"),
    "Certificate authorities to trust, as PEM, where Kafka or RabbitMQ speak TLS. Absent: the system's.",
  ),
  kafkaSaslMechanism: optional(
    oneOf("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"),
    "How to log in to Kafka. Absent: not at all.",
  ),
  kafkaSaslUsername: optional(text("a name"), "Who logs in to Kafka."),
  kafkaSaslPassword: secret(text("a password"), "The password of who logs in to Kafka."),
  rabbitmqUrl: secret(
    z.url({ protocol: /^amqps?$/ }).describe("a URL such as amqp://user:password@host:5672"),
    "RabbitMQ to use; needed with the bus rabbitmq.",
  ),
  topicPrefix: setting(
    z
      .string()
      .trim()
      .max(100)
      .regex(/^[A-Za-z0-9._-]*$/)
      .describe("up to 100 of A-Z a-z 0-9 . _ -"),
    "",
    "Before the names of all topics and consumer groups, so that several shops can share a broker.",
  ),
  brokerRetentionDays: setting(
    integer(1, 3_650),
    7,
    "Days that the broker keeps the events of a topic that is made.",
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
  commitOn: setting(
    oneOf("fulfillment", "payment"),
    "fulfillment",
    "When an order's stock is reduced: as it is shipped, or already as it is paid.",
  ),
  holdOn: setting(
    oneOf("cart", "checkout"),
    "cart",
    "When a cart's lines are held: as soon as they are in it, or from checkout on.",
  ),
  cartHoldSeconds: setting(
    integer(1, 31_536_000),
    1_800,
    "How long a cart is kept, and its lines held, after its last change.",
  ),
  pendingSeconds: setting(
    integer(1, 31_536_000),
    900,
    "How long an order waits to hear whether there is stock, before it expires.",
  ),
  shippingSeconds: setting(
    integer(1, 31_536_000),
    604_800,
    "How long a paid order waits to be shipped, before it is cancelled and refunded.",
  ),
  gateway: setting(
    oneOf("simulated", "stripe"),
    "simulated",
    "Where payments are made; the simulated gateway understands tokens such as tok_ok and tok_declined.",
  ),
  gatewayConcurrency: optional(
    integer(1, 10_000),
    "Calls to the payment gateway that may be under way at once. Absent: as many as suit the gateway.",
  ),
  webhookSecret: secret(
    text("a secret of at least 16 characters"),
    "What the simulated gateway signs its webhooks with. Absent: a new one at each start.",
  ),
  stripeSecretKey: secret(
    text("a key such as sk_live_…"),
    "Stripe's API key; needed with the gateway stripe.",
  ),
  stripeWebhookSecret: secret(
    text("a secret such as whsec_…"),
    "What Stripe signs its webhooks with; needed with the gateway stripe.",
  ),
  stripeUrl: setting(
    z.url({ protocol: /^https?$/ }).describe("a URL such as https://api.stripe.com"),
    "https://api.stripe.com",
    "Where Stripe's API is reached.",
  ),
  carrier: setting(
    oneOf("simulated", "manual"),
    "simulated",
    "Who ships: the simulated carrier at once, or you by POST /v1/shipments/{id}/ship.",
  ),
  retentionDays: setting(
    retention(),
    new Retention(30),
    "Days that the services' logs are kept, such as `30` or `30,inventory=365`; 0 keeps them for ever.",
  ),
  retentionForce: setting(
    flag(),
    false,
    "Drop what is older even if a consumer has not read it. What it misses is said loudly.",
  ),
  otlpUrl: optional(
    z.url({ protocol: /^https?$/ }).describe("a URL such as http://127.0.0.1:4318"),
    "OpenTelemetry collector that traces are sent to, over OTLP/HTTP. Absent: none are recorded.",
  ),
  traceRatio: setting(
    z
      .union([
        z.number(),
        z
          .string()
          .trim()
          .regex(/^[01](\.\d+)?$/)
          .transform(Number),
      ])
      .pipe(z.number().min(0).max(1))
      .describe("a number from 0 to 1"),
    1,
    "Share of the traces begun here that are recorded.",
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

function addresses() {
  const words = z.string().transform((list) => list.split(",").map((word) => word.trim()));
  return z
    .union([words, z.array(z.string())])
    .pipe(z.array(z.string().regex(/^[^\s:,]+:\d{1,5}$/)).min(1))
    .describe("addresses such as host:9092,host:9093");
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

function retention() {
  const service = serviceNames.join("|");
  const shape = new RegExp(`^\\d{1,5}(,(${service})=\\d{1,5})*$`);
  return z
    .union([z.string(), z.number().transform(String)])
    .transform((text) => text.replaceAll(" ", ""))
    .pipe(z.string().regex(shape))
    .transform((text) => {
      const [days, ...own] = text.split(",");
      const pairs = own.map((part) => part.split("=") as [string, string]);
      return new Retention(Number(days), new Map(pairs.map(([name, value]) => [name, Number(value)])));
    })
    .describe("days such as 30, or 30,inventory=365");
}

function postgresUrl() {
  return z
    .url({ protocol: /^postgres(ql)?$/ })
    .describe("a URL such as postgres://user:password@host:5432/database");
}
