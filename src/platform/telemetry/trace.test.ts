import { describe, expect, it } from "vitest";
import { continueTrace, startTrace } from "./trace.ts";

const traceId = "4bf92f3577b34da6a3ce929d0e0e4736";
const parentId = "00f067aa0ba902b7";

describe("trace context", () => {
  it("starts traces that differ and are well formed", () => {
    const seen = new Set(Array.from({ length: 2_000 }, () => startTrace().traceparent));
    expect(seen.size).toBe(2_000);
    for (const traceparent of seen) expect(traceparent).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
  });

  it("keeps the caller's trace id and flags, under a parent id of its own", () => {
    const { traceparent } = continueTrace(`00-${traceId}-${parentId}-00`);
    expect(traceparent).toMatch(new RegExp(`^00-${traceId}-[0-9a-f]{16}-00$`));
    expect(traceparent).not.toContain(parentId);
  });

  it("understands a later version by the fields that it knows", () => {
    expect(continueTrace(`cc-${traceId}-${parentId}-01-more`).traceparent).toContain(`00-${traceId}-`);
  });

  it.each([
    undefined,
    "",
    "nonsense",
    `ff-${traceId}-${parentId}-01`,
    `00-${traceId}-${parentId}-01-more`,
    `00-${"0".repeat(32)}-${parentId}-01`,
    `00-${traceId}-${"0".repeat(16)}-01`,
    `00-${traceId.toUpperCase()}-${parentId}-01`,
  ])("starts a new trace for %s", (traceparent) => {
    expect(continueTrace(traceparent).traceparent).not.toContain(traceId);
  });
});
