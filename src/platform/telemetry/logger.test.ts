import { stripVTControlCharacters } from "node:util";
import { describe, expect, it } from "vitest";
import { createLogger, traceFields } from "./logger.ts";

function capture(isTTY: boolean) {
  const lines: string[] = [];
  return { lines, isTTY, write: (text: string) => lines.push(text) };
}

describe("logger", () => {
  it("writes one JSON object per line when no terminal reads it", () => {
    const output = capture(false);
    createLogger("info", output).error({ err: new Error("disk full"), request_id: "r1" }, "save failed");
    const line = JSON.parse(output.lines[0]!);
    expect(line).toMatchObject({ level: "error", msg: "save failed", request_id: "r1" });
    expect(line.err).toMatchObject({
      message: "disk full",
      stack: expect.stringContaining("logger.test.ts"),
    });
    expect(new Date(line.time).toISOString()).toBe(line.time);
  });

  it("writes for eyes on a terminal, stack included", () => {
    const output = capture(true);
    createLogger("info", output).warn({ store_id: "main", err: new Error("gone") }, "low");
    const shown = stripVTControlCharacters(output.lines[0]!);
    expect(shown).toMatch(/^\d\d:\d\d:\d\d\.\d{3} warn {2}low store_id="main"\nError: gone\n {4}at /);
  });

  it("keeps what is below its level to itself", () => {
    const output = capture(false);
    createLogger("warn", output).info("hello");
    createLogger("silent", output).fatal("hello");
    expect(output.lines).toEqual([]);
  });

  it("names the trace that a line belongs to, if any", () => {
    const trace_id = "4bf92f3577b34da6a3ce929d0e0e4736";
    expect(traceFields(`00-${trace_id}-00f067aa0ba902b7-01`)).toEqual({ trace_id });
    expect(traceFields("nonsense")).toEqual({});
    expect(traceFields(undefined)).toEqual({});
  });
});
