import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { json } from "node:stream/consumers";

export interface CollectedSpan {
  readonly service: string;
  readonly name: string;
  readonly kind: number;
  readonly trace_id: string;
  readonly span_id: string;
  readonly parent_span_id: string | undefined;
  /** 0 unset, 1 ok, 2 error. */
  readonly status: number;
  readonly message: string | undefined;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly started_at: bigint;
  readonly ended_at: bigint;
}

/** Stands in for an OpenTelemetry collector: takes OTLP over HTTP, encoded as JSON. */
export interface Collector {
  readonly url: string;
  readonly spans: CollectedSpan[];
  /** What it answers; not 200 means that it takes nothing. `undefined` leaves its callers without an answer. */
  status: number | undefined;
  close(): Promise<void>;
}

export async function startCollector(): Promise<Collector> {
  const server = createServer(async (request, response) => {
    const body = (await json(request)) as OtlpRequest;
    if (collector.status === undefined) return;
    if (collector.status === 200) collector.spans.push(...spansOf(body));
    response.writeHead(collector.status, { "content-type": "application/json" }).end("{}");
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const collector: Collector = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spans: [],
    status: 200,
    async close() {
      server.closeAllConnections();
      await once(server.close(), "close");
    },
  };
  return collector;
}

interface OtlpAttribute {
  readonly key: string;
  readonly value: { readonly stringValue?: string; readonly intValue?: number };
}

interface OtlpRequest {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly OtlpAttribute[] };
    readonly scopeSpans: readonly {
      readonly spans: readonly {
        readonly traceId: string;
        readonly spanId: string;
        readonly parentSpanId?: string;
        readonly name: string;
        readonly kind: number;
        readonly startTimeUnixNano: string;
        readonly endTimeUnixNano: string;
        readonly attributes: readonly OtlpAttribute[];
        readonly status: { readonly code: number; readonly message?: string };
      }[];
    }[];
  }[];
}

function spansOf({ resourceSpans }: OtlpRequest): CollectedSpan[] {
  return resourceSpans.flatMap(({ resource, scopeSpans }) =>
    scopeSpans.flatMap(({ spans }) =>
      spans.map((span) => ({
        service: String(valuesOf(resource.attributes)["service.name"]),
        name: span.name,
        kind: span.kind,
        trace_id: span.traceId,
        span_id: span.spanId,
        parent_span_id: span.parentSpanId,
        status: span.status.code,
        message: span.status.message,
        attributes: valuesOf(span.attributes),
        started_at: BigInt(span.startTimeUnixNano),
        ended_at: BigInt(span.endTimeUnixNano),
      })),
    ),
  );
}

function valuesOf(attributes: readonly OtlpAttribute[]): Record<string, unknown> {
  return Object.fromEntries(
    attributes.map(({ key, value }) => [key, value.stringValue ?? value.intValue ?? value]),
  );
}
