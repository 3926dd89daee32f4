import type { Logger } from "./logger.ts";

/** Makes the steps of a trace visible. Without an exporter nothing is recorded, and traceparents are handed on as they are. */
export interface Tracer {
  /**
   * Begins a step for each item that belongs to a trace. The items that come back carry the traceparent of their step,
   * so that what they cause hangs below it. Steps that are never ended were attempts that came to nothing: nobody sees
   * them.
   */
  begin<Item extends { readonly traceparent?: string }>(
    items: readonly Item[],
    describe: (item: Item) => StepDescription,
  ): { readonly items: readonly Item[]; end(error?: unknown): void };
}

export interface StepDescription {
  /** Such as `inventory OrderCreated`. */
  readonly name: string;
  readonly attributes?: Readonly<Record<string, string | number>>;
}

export const untraced: Tracer = {
  begin: (items) => ({ items, end() {} }),
};

/** Requests begin traces, or continue their caller's. */
export interface RequestTracer {
  serve(traceparent: string | undefined, method: string, route: string): ServedRequest;
}

export interface ServedRequest {
  readonly traceparent: string;
  /** Without a status the caller went away before it was answered. */
  end(status: number | undefined, order_id: string | null): void;
}

export interface ExportingTracer extends Tracer, RequestTracer {
  /** Sends what there is, but waits for no collector longer than a moment. */
  shutdown(): Promise<void>;
}

export interface TracerOptions {
  /** Of a collector that understands OTLP over HTTP, such as http://127.0.0.1:4318. */
  readonly url: string;
  readonly serviceName: string;
  /** The share of the traces that begin here which is recorded; whoever begins a trace elsewhere decides there. */
  readonly ratio?: number;
  readonly logger: Logger;
}

/** Sends steps to a collector. What that takes is loaded only here, so that nobody else pays for it. */
export async function createTracer(options: TracerOptions): Promise<ExportingTracer> {
  const { createOpenTelemetryTracer } = await import("./open-telemetry.ts");
  return createOpenTelemetryTracer(options);
}
