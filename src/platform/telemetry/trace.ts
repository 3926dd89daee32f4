import { randomFillSync } from "node:crypto";

/** The W3C trace context of one request, handed on to the events that it causes. */
export interface Trace {
  readonly traceparent: string;
}

// version - trace id - parent id - flags; version ff is forbidden, later versions may append fields.
const format = /^(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})(-.*)?$/;

/** Continues the caller's trace as a step of our own; anything malformed starts a new one. */
export function continueTrace(traceparent: string | undefined): Trace {
  const match = traceparent === undefined ? null : format.exec(traceparent);
  if (match === null) return startTrace();
  const [, version, traceId, flags, more] = match;
  if (version === "00" && more !== undefined) return startTrace();
  return { traceparent: `00-${traceId}-${randomHex(8)}-${flags}` };
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
