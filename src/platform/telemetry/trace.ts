import { randomFillSync } from "node:crypto";

/** The W3C trace context of one request, handed on to the events that it causes. */
export interface Trace {
  readonly traceparent: string;
}

/** The fields of a traceparent. */
export interface TraceContext {
  readonly traceId: string;
  readonly parentId: string;
  readonly flags: string;
}

// version - trace id - parent id - flags; version ff is forbidden, later versions may append fields.
const format = /^(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;

export function parseTraceparent(traceparent: string | undefined): TraceContext | undefined {
  const match = traceparent === undefined ? null : format.exec(traceparent);
  if (match === null) return undefined;
  const [, version, traceId, parentId, flags, more] = match as unknown as string[];
  if (version === "00" && more !== undefined) return undefined;
  return { traceId: traceId!, parentId: parentId!, flags: flags! };
}

/** Continues the caller's trace as a step of our own; anything malformed starts a new one. */
export function continueTrace(traceparent: string | undefined): Trace {
  const context = parseTraceparent(traceparent);
  if (context === undefined) return startTrace();
  return { traceparent: `00-${context.traceId}-${randomHex(8)}-${context.flags}` };
}

export function startTrace(): Trace {
  return { traceparent: `00-${randomHex(16)}-${randomHex(8)}-01` };
}

// Random bytes are drawn in bulk: one system call serves some hundred requests.
const pool = Buffer.allocUnsafe(8_192);
let taken = pool.length;

function randomHex(bytes: number): string {
  if (taken + bytes > pool.length) {
    randomFillSync(pool);
    taken = 0;
  }
  taken += bytes;
  return pool.toString("hex", taken - bytes, taken);
}
