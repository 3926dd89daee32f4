import { Type } from "typebox";
import { pageOf, pageQuery } from "../http/page.ts";
import { ProblemError, type ProblemTable, sendProblem } from "../http/problem.ts";
import type { HttpServer } from "../http/server.ts";
import { withoutTokens } from "../tokens.ts";
import type { Bus, ReplayStart, RetryAnswer } from "./port.ts";

export const busProblems = {
  "bus.unknown_group": { status: 404, title: "There is no such consumer group" },
  "bus.unknown_topic": { status: 404, title: "The consumer group does not follow this topic" },
  "bus.dead_letter_not_found": { status: 404, title: "There is no such dead letter" },
  "bus.dead_letter_is_command": { status: 409, title: "A command that came over HTTP is not tried again" },
  "bus.dead_letter_waits": { status: 409, title: "An earlier event of the same key stands before it" },
} as const satisfies ProblemTable;

const Timestamp = Type.Unsafe<Date>(Type.String({ format: "date-time" }));
const Name = Type.String({ minLength: 1, maxLength: 64, pattern: "^[a-z_]+$" });
const LetterId = Type.String({ maxLength: 80, pattern: "^[a-z_]+:[0-9]{1,15}$" });
const statuses = ["retrying", "waiting", "dead"] as const;

const Consumer = Type.Object(
  {
    group: Type.String({ description: "The service that listens." }),
    topic: Type.String({
      description: "The service that it listens to, or the topic on which systems outside talk to it.",
    }),
    position: Type.Optional(
      Type.Integer({
        description:
          "The last batch of the topic's log that is handled; absent of what systems outside send, which is in no log.",
      }),
    ),
    lag: Type.Optional(
      Type.Integer({
        description:
          "Batches that are not handled yet; counted up to 10,000, then estimated. Through a broker: messages. Absent " +
          "while it cannot be told.",
      }),
    ),
    lag_seconds: Type.Optional(
      Type.Number({
        description: "How long the oldest of them has been waiting; absent while it cannot be told.",
      }),
    ),
    retrying: Type.Integer({ description: "Events that failed and are tried again." }),
    dead: Type.Integer({ description: "Events that were given up on." }),
  },
  { $id: "Consumer" },
);

const DeadLetterView = Type.Object(
  {
    id: Type.String(),
    group: Type.String(),
    status: Type.Enum(statuses, {
      description:
        "`retrying`: tried again by itself; `waiting`: behind an earlier one of its key; `dead`: given up on.",
    }),
    at: Timestamp,
    event: Type.Unknown({ description: "The event that could not be handled; null for a command." }),
    command: Type.Unknown({ description: "A command that came over HTTP and was answered 500, or null." }),
    error: Type.String(),
    attempts: Type.Integer({ description: "Rounds that failed; the tries at once count as the first one." }),
    next_try_at: Type.Union([Timestamp, Type.Null()]),
  },
  { $id: "DeadLetter" },
);

export function registerBusRoutes(app: HttpServer, bus: Bus): void {
  registerConsumers(app, bus);
  registerDeadLetters(app, bus);
}

function registerConsumers(app: HttpServer, bus: Bus): void {
  app.get(
    "/v1/consumers",
    {
      config: { scope: "read" },
      schema: {
        summary: "See how far the consumers have come",
        response: { 200: Type.Object({ items: Type.Array(Consumer) }) },
      },
    },
    async () => ({ items: await bus.consumers() }),
  );

  app.post(
    "/v1/consumers/:group/replay",
    {
      config: { scope: "admin" },
      schema: {
        summary: "Let a consumer group handle events once more",
        description:
          "Moves its cursors back to a position, or to the first batch at or after a time. One that has not come so " +
          "far stays where it is. What was handled before changes nothing a second time.",
        params: Type.Object({ group: Name }),
        body: Type.Object({
          from: Type.Union([
            Type.Integer({
              minimum: 0,
              maximum: Number.MAX_SAFE_INTEGER,
              description: "A position in the log.",
            }),
            Type.String({ format: "date-time", description: "A time." }),
          ]),
          topic: Type.Optional(Name),
        }),
        response: {
          200: Type.Object({ moved: Type.Integer({ description: "Topics that it goes on in from there." }) }),
        },
      },
    },
    async ({ params: { group }, body: { from, topic } }, reply) => {
      const consumers = await bus.consumers();
      const topics = consumers
        .filter((consumer) => consumer.group === group && consumer.position !== undefined)
        .map((consumer) => consumer.topic);
      if (topics.length === 0) {
        const known = [...new Set(consumers.map((consumer) => consumer.group))].join(", ");
        const detail = `There is no consumer group ${group}. There ${known === "" ? "is none yet" : `are: ${known}`}.`;
        return sendProblem(reply, busProblems, "bus.unknown_group", { detail });
      }
      if (topic !== undefined && !topics.includes(topic)) {
        const detail = `${group} does not follow ${topic}, but ${topics.join(", ")}.`;
        return sendProblem(reply, busProblems, "bus.unknown_topic", { detail });
      }
      return reply.send({ moved: await bus.replay(group, startOf(from, topic)) });
    },
  );
}

function startOf(from: number | string, topic: string | undefined): ReplayStart {
  const start = typeof from === "number" ? { position: from } : { time: momentOf(from) };
  return topic === undefined ? start : { ...start, topic };
}

/** RFC 3339 knows leap seconds, and `Date` does not. */
function momentOf(text: string): Date {
  const moment = new Date(text);
  if (!Number.isNaN(moment.getTime())) return moment;
  const message = "is no moment that can be looked for";
  throw new ProblemError("request.invalid", {
    detail: `from ${message}.`,
    errors: [{ field: "from", message }],
  });
}

function registerDeadLetters(app: HttpServer, bus: Bus): void {
  const params = Type.Object({ id: LetterId });

  app.get(
    "/v1/dead-letters",
    {
      config: { scope: "read" },
      schema: {
        summary: "List what could not be handled",
        querystring: Type.Object({
          group: Type.Optional(Name),
          status: Type.Optional(Type.Enum(statuses)),
          ...pageQuery,
          after: Type.Optional(LetterId),
        }),
        response: { 200: pageOf(DeadLetterView) },
      },
    },
    async ({ query: { after, limit, ...filter } }) =>
      withoutTokens(await bus.deadLetters(filter, after, limit)),
  );

  app.post(
    "/v1/dead-letters/:id/retry",
    {
      config: { scope: "admin" },
      schema: {
        summary: "Try an event that failed again, now",
        params,
        response: { 202: Type.Object({ id: Type.String(), status: Type.Literal("retrying") }) },
      },
    },
    async ({ params: { id } }, reply) => {
      const answer = await bus.retry(id);
      if (answer === "retrying") return reply.code(202).send({ id, status: answer });
      const { code, detail } = refusals[answer];
      return sendProblem(reply, busProblems, code, { detail: detail(id) });
    },
  );

  app.delete(
    "/v1/dead-letters/:id",
    {
      config: { scope: "admin" },
      schema: {
        summary: "Discard what could not be handled",
        description: "It is gone for good; events of the same key that waited behind it go on.",
        params,
        response: { 204: Type.Null() },
      },
    },
    async ({ params: { id } }, reply) => {
      if (await bus.discard(id)) return reply.code(204).send(null);
      const { code, detail } = refusals.not_found;
      return sendProblem(reply, busProblems, code, { detail: detail(id) });
    },
  );
}

interface Refusal {
  readonly code: keyof typeof busProblems;
  readonly detail: (id: string) => string;
}

const refusals: Readonly<Record<Exclude<RetryAnswer, "retrying">, Refusal>> = {
  not_found: { code: "bus.dead_letter_not_found", detail: (id) => `There is no dead letter ${id}.` },
  is_command: {
    code: "bus.dead_letter_is_command",
    detail: (id) => `${id} is a command whose caller was answered 500: the caller may send it again.`,
  },
  is_waiting: {
    code: "bus.dead_letter_waits",
    detail: (id) => `${id} goes on by itself as soon as the event before it is handled or discarded.`,
  },
};
