import { Type } from "typebox";
import { decodeCursor, encodeCursor } from "../../kernel/page.ts";
import { pageQuery } from "../http/page.ts";
import { ProblemError, type ProblemTable, sendProblem } from "../http/problem.ts";
import type { HttpServer } from "../http/server.ts";
import type { Reader } from "../postgres/statement.ts";
import { withoutTokens } from "../tokens.ts";
import { keyOf, orderOf } from "./append.ts";
import { BeforeHorizon, type FeedEvent, type FeedPlace, feedStart, readFeed } from "./feed.ts";

export const logProblems = {
  "log.before_horizon": { status: 410, title: "The events that follow here are no longer kept" },
} as const satisfies ProblemTable;

const filter = { minLength: 1, maxLength: 200 };

const CloudEvent = Type.Object(
  {
    specversion: Type.Literal("1.0"),
    id: Type.String({ description: "The same event always has the same id." }),
    source: Type.String({ description: "The service, such as `/holdfast/inventory`." }),
    type: Type.String(),
    subject: Type.String({ description: "What it happened to: a reservation's id, a product's, …" }),
    time: Type.Unsafe<Date>(Type.String({ format: "date-time" })),
    datacontenttype: Type.Literal("application/json"),
    partitionkey: Type.String({ description: "Events of one key are in order: an order's have its id." }),
    correlationid: Type.Optional(Type.String({ description: "The order that it belongs to." })),
    causationid: Type.Optional(Type.String({ description: "The id of the event that led to it." })),
    traceparent: Type.Optional(Type.String()),
    data: Type.Unknown(),
  },
  { $id: "CloudEvent" },
);

/** The events of the services whose logs are in these schemas. */
export function registerEventRoutes(app: HttpServer, database: Reader, schemas: readonly string[]): void {
  app.get(
    "/v1/events",
    {
      config: { scope: "read" },
      schema: {
        summary: "Read the events of all services",
        description:
          "CloudEvents 1.0, oldest first: in order within a service, by time across them. `next` is always there: " +
          "send it as `after` to go on, later too, since new events come behind it. One answer looks at a bounded part " +
          "of the log, so with a filter it may hold few events or none and still not be the last. Without `after` it begins with the oldest " +
          "events that are kept; an `after` whose next events were dropped is answered by 410 `log.before_horizon`.",
        querystring: Type.Object({
          type: Type.Optional(Type.String({ ...filter, description: "Such as `InventoryReserved`." })),
          subject: Type.Optional(Type.String(filter)),
          ...pageQuery,
        }),
        response: { 200: Type.Object({ items: Type.Array(CloudEvent), next: Type.String() }) },
      },
    },
    async ({ query: { after, type, subject, limit } }, reply) => {
      try {
        const { events, places } = await readFeed(
          database,
          after === undefined ? new Map(schemas.map((schema) => [schema, feedStart])) : parse(after, schemas),
          (event) => (type ?? event.type) === event.type && (subject ?? event.subject) === event.subject,
          limit,
        );
        return { items: events.map(asCloudEvent), next: spell(places) };
      } catch (error) {
        if (!(error instanceof BeforeHorizon)) throw error;
        return sendProblem(reply, logProblems, "log.before_horizon", {
          detail: `Events of ${error.schema} were dropped before they were read; begin again without after.`,
        });
      }
    },
  );
}

function asCloudEvent({ schema, position, index, at, event }: FeedEvent) {
  const { type, subject, data, traceparent, cause } = event;
  const order = orderOf(event);
  return {
    specversion: "1.0" as const,
    id: `${schema}-${position}-${index}`,
    source: `/holdfast/${schema}`,
    type,
    subject,
    time: at,
    datacontenttype: "application/json" as const,
    partitionkey: keyOf(event),
    ...(order === undefined ? {} : { correlationid: order }),
    ...(cause === undefined ? {} : { causationid: cause }),
    ...(traceparent === undefined ? {} : { traceparent }),
    data: withoutTokens(data),
  };
}

function spell(places: ReadonlyMap<string, FeedPlace>): string {
  return encodeCursor([...places].flatMap(([schema, { position, index }]) => [schema, position, index]));
}

/** A cursor belongs to a set of services: with others it would point nowhere. */
function parse(cursor: string, schemas: readonly string[]): Map<string, FeedPlace> {
  const shape = schemas.flatMap(() => ["string", "number", "number"] as const);
  const parts = decodeCursor<(string | number)[]>(cursor, shape) ?? [];
  const places = new Map<string, FeedPlace>();
  for (let i = 0; i < parts.length; i += 3) {
    const [schema, position, index] = parts.slice(i, i + 3) as [string, number, number];
    places.set(schema, { position, index });
  }
  if (schemas.every((schema) => places.has(schema))) return places;
  const message = "must be the `next` of an earlier answer";
  throw new ProblemError("request.invalid", {
    detail: `after ${message}.`,
    errors: [{ field: "after", message }],
  });
}
