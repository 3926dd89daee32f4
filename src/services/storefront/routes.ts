import type { OutgoingHttpHeaders, ServerResponse } from "node:http";
import type { FastifyReply } from "fastify";
import { ProblemError, sendProblem } from "../../platform/http/problem.ts";
import type { HttpServer } from "../../platform/http/server.ts";
import {
  AvailabilityQuery,
  AvailabilityView,
  maxSkus,
  StreamHeaders,
  StreamQuery,
  storefrontProblems,
} from "./contract.ts";
import type { Storefront } from "./storefront.ts";
import { parsePlace, type Stream, type StreamFilter } from "./stream.ts";

export function registerStorefrontRoutes(app: HttpServer, storefront: Storefront): void {
  app.get(
    "/v1/availability",
    {
      config: { scope: "read" },
      schema: {
        summary: "Read what can be sold",
        description:
          "Answered from memory, which follows the stock within a second; `as_of` is the time up to which it has. " +
          "SKUs that nobody knows are left out.",
        querystring: AvailabilityQuery,
        response: { 200: AvailabilityView },
      },
    },
    ({ query: { sku, store_id } }, reply) => {
      if (!storefront.isReady) return void sendNotReady(reply);
      // A text is sent as it is: the schema is for the document, not for the serializer.
      reply.header("content-type", "application/json; charset=utf-8");
      (reply as FastifyReply).send(storefront.answer(skusOf(sku), store_id));
    },
  );

  app.get(
    "/v1/availability/stream",
    {
      config: { scope: "read" },
      exposeHeadRoute: false,
      schema: {
        summary: "Watch what can be sold",
        description:
          "Server-sent events: first how each record stands, then how it stands whenever it has changed, as " +
          "`event: availability` with an item of `GET /v1/availability` as its `data`. Who reads slowly gets fewer, " +
          "newer states. An `id` says that all up to this place of the log has been sent: with it as `Last-Event-ID`, " +
          "which browsers send by themselves, only what has changed since then is sent. Without `sku` all SKUs are " +
          "watched, those to come included.",
        querystring: StreamQuery,
        headers: StreamHeaders,
        response: {
          200: {
            description: "Events until one side ends it.",
            content: { "text/event-stream": { schema: {} } },
          },
        },
      },
    },
    (request, reply) => {
      if (!storefront.isReady) return sendNotReady(reply);
      const { sku, store_id, last_event_id } = request.query;
      const lastEventId = request.headers["last-event-id"] ?? last_event_id;
      const filter: StreamFilter = {
        ...(sku !== undefined && { skus: skusOf(sku) }),
        ...(store_id !== undefined && { store_id }),
      };
      const since = lastEventId === undefined ? undefined : parsePlace(lastEventId);
      const outlet = new Outlet(reply.raw);
      const stream = storefront.watch(filter, since, outlet);
      if (stream === undefined) {
        return sendProblem(reply, storefrontProblems, "storefront.too_many_streams", {
          detail: "Try again shortly, or another instance.",
        });
      }
      reply.hijack();
      reply.raw.writeHead(200, {
        ...(reply.getHeaders() as OutgoingHttpHeaders),
        "content-type": "text/event-stream",
        "cache-control": "no-store",
        "x-accel-buffering": "no",
        // An ended stream's connection would keep a stopping server waiting.
        connection: "close",
      });
      outlet.serve(stream);
      return reply;
    },
  );

  app.addHook("preClose", (done) => {
    storefront.endStreams();
    done();
  });
}

/** Given once, commas separate SKUs; given several times, each is one. */
function skusOf(given: string | string[]): string[] {
  const isText = typeof given === "string";
  if (isText && !given.includes(",") && given.length <= maxSkuLength) return [given];
  const skus = [...new Set(isText ? given.split(",") : given)];
  if (skus.length > maxSkus) throw invalidSku(`must not name more than ${maxSkus} SKUs`);
  for (const sku of skus) {
    if (sku === "" || [...sku].length > maxSkuLength) {
      throw invalidSku(`must be SKUs of 1 to ${maxSkuLength} characters, separated by commas`);
    }
  }
  return skus;
}

const maxSkuLength = 128;

function invalidSku(message: string): ProblemError {
  return new ProblemError("request.invalid", {
    detail: `sku ${message}.`,
    errors: [{ field: "sku", message }],
  });
}

function sendNotReady(reply: FastifyReply): FastifyReply {
  return sendProblem(reply, storefrontProblems, "storefront.not_ready", { detail: "Try again shortly." });
}

/** Writes a stream to its socket as fast as the socket takes it, and no faster. */
class Outlet {
  private readonly response: ServerResponse;
  private stream: Stream | undefined;
  private isFull = false;

  constructor(response: ServerResponse) {
    this.response = response;
  }

  serve(stream: Stream): void {
    this.stream = stream;
    const { response } = this;
    response.on("close", stream.close);
    response.on("error", stream.close);
    response.on("drain", () => {
      this.isFull = false;
      this.news();
    });
    response.flushHeaders();
    if (response.destroyed) stream.close();
    else this.news();
  }

  news(): void {
    const { stream, response } = this;
    if (stream === undefined) return;
    while (!this.isFull && response.writable) {
      const text = stream.take();
      if (text !== "") this.isFull = !response.write(text);
      else if (stream.isSearching) return void setImmediate(() => this.news());
      else return;
    }
  }

  beat(): void {
    if (!this.isFull && this.response.writable) this.isFull = !this.response.write(":\n\n");
  }

  end(): void {
    this.stream?.close();
    this.stream = undefined;
    this.response.end();
  }
}
