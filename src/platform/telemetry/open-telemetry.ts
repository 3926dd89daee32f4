import { type Context, ROOT_CONTEXT, type Span, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { defaultResource, resourceFromAttributes } from "@opentelemetry/resources";
import {
  BasicTracerProvider,
  BatchSpanProcessor,
  ParentBasedSampler,
  type SpanExporter,
  TraceIdRatioBasedSampler,
} from "@opentelemetry/sdk-trace-base";
import type { Logger } from "./logger.ts";
import { parseTraceparent, type TraceContext } from "./trace.ts";
import type { ExportingTracer, TracerOptions } from "./tracer.ts";

// A full queue drops steps instead of growing. At shutdown it goes out in parallel, 512 steps to a request, and the
// exporter takes 30 requests at once.
const maxQueueSize = 8_192;
const exportEveryMs = 1_000;
const exportTimeoutMs = 5_000;
const shutdownPatienceMs = 3_000;
const complainEveryMs = 60_000;

export function createOpenTelemetryTracer(options: TracerOptions): ExportingTracer {
  const { url, serviceName, ratio = 1, logger } = options;
  const exporter = new OTLPTraceExporter({
    url: `${url.replace(/\/+$/, "")}/v1/traces`,
    timeoutMillis: exportTimeoutMs,
  });
  const provider = new BasicTracerProvider({
    resource: defaultResource().merge(resourceFromAttributes({ "service.name": serviceName })),
    sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(ratio) }),
    spanProcessors: [
      new BatchSpanProcessor(undisturbed(exporter, logger), {
        maxQueueSize,
        scheduledDelayMillis: exportEveryMs,
      }),
    ],
  });
  const spans = provider.getTracer("holdfast");

  return {
    begin(items, describe) {
      const begun: Span[] = [];
      const startTime = now();
      let carrying: (typeof items)[number][] | undefined;
      for (const [index, item] of items.entries()) {
        const parent = parseTraceparent(item.traceparent);
        // Nobody records an unsampled trace, here or further down: it is handed on as it is.
        if (parent === undefined || !isSampled(parent)) continue;
        const { name, attributes } = describe(item);
        const span = spans.startSpan(name, { startTime, ...(attributes && { attributes }) }, below(parent));
        begun.push(span);
        carrying ??= [...items];
        carrying[index] = { ...item, traceparent: traceparentOf(span, parent.flags) };
      }
      return {
        items: carrying ?? items,
        end(error) {
          const endTime = now();
          for (const span of begun) {
            if (error !== undefined) markFailed(span, error);
            span.end(endTime);
          }
        },
      };
    },

    serve(traceparent, method, route) {
      const parent = parseTraceparent(traceparent);
      const span = spans.startSpan(
        `${method} ${route}`,
        {
          kind: SpanKind.SERVER,
          startTime: now(),
          attributes: { "http.request.method": method, "http.route": route },
        },
        parent === undefined ? ROOT_CONTEXT : below(parent),
      );
      return {
        traceparent: traceparentOf(span, parent?.flags),
        end(status, order_id) {
          if (order_id !== null) span.setAttribute("order_id", order_id);
          if (status !== undefined) span.setAttribute("http.response.status_code", status);
          if (status !== undefined && status >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
          span.end(now());
        },
      };
    },

    shutdown: () => atMost(shutdownPatienceMs, provider.shutdown()),
  };
}

// The library starts spans at whole milliseconds, so that a step of 2 ms may seem to begin before the one that caused it.
// This clock is finer, and follows the machine's when that was set, or slept.
let offset = Date.now() - performance.now();

function now(): number {
  const measured = Date.now() - performance.now();
  if (Math.abs(measured - offset) > 20) offset = measured;
  return performance.now() + offset;
}

function below({ traceId, parentId, flags }: TraceContext): Context {
  const traceFlags = Number.parseInt(flags, 16);
  return trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId: parentId, traceFlags, isRemote: true });
}

function isSampled({ flags }: TraceContext): boolean {
  return (Number.parseInt(flags, 16) & 1) === 1;
}

/** The flags of a trace are decided where it begins, and those that are not ours to understand are handed on. */
function traceparentOf(span: Span, flags: string | undefined): string {
  const { traceId, spanId, traceFlags } = span.spanContext();
  return `00-${traceId}-${spanId}-${flags ?? traceFlags.toString(16).padStart(2, "0")}`;
}

function markFailed(span: Span, error: unknown): void {
  const { code, name, message } = Object(error);
  span.setAttribute("error.type", String(code ?? name ?? typeof error));
  span.setStatus({ code: SpanStatusCode.ERROR, message: String(message ?? error) });
}

/** An exporter whose failures are a line in the log, and not one for each batch. */
function undisturbed(exporter: SpanExporter, logger: Logger): SpanExporter {
  let complainedAt = Number.NEGATIVE_INFINITY;
  let lost = 0;
  function complain(error: unknown): void {
    if (performance.now() - complainedAt < complainEveryMs) return;
    complainedAt = performance.now();
    logger.warn({ err: error, lost }, "the collector did not take steps of traces; they are lost");
    lost = 0;
  }
  return {
    export(spans, done) {
      exporter.export(spans, (result) => {
        if (result.code !== 0) {
          lost += spans.length;
          complain(result.error);
        }
        done({ code: 0 });
      });
    },
    shutdown: () => exporter.shutdown(),
  };
}

async function atMost(patienceMs: number, work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const patience = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, patienceMs);
  });
  await Promise.race([work, patience]);
  clearTimeout(timer);
}
