import { Registry } from "prom-client";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { createLogger } from "./logger.ts";
import { askedGauges } from "./metrics.ts";

interface Answer {
  readonly total: number;
  readonly parts: Readonly<Record<string, number>>;
}

const answers: (() => Promise<Answer>)[] = [];
const ask = vi.fn(() => (answers.length > 1 ? answers.shift()! : answers[0]!)());
const refuse = () => Promise.reject(new Error("nobody there"));
let registry: Registry;
let warnings: { msg: string; metric: string }[];

beforeEach(() => {
  vi.useFakeTimers();
  ask.mockClear();
  answers.length = 0;
  registry = new Registry();
  warnings = [];
  const gauge = askedGauges<Answer>(
    registry,
    createLogger("warn", { write: (line) => warnings.push(JSON.parse(line)) }),
    ask,
  );
  gauge({ name: "total", help: "All.", show: (metric, { total }) => metric.set(total) });
  gauge({
    name: "parts",
    help: "Each.",
    labelNames: ["part"],
    show(metric, { parts }) {
      for (const [part, value] of Object.entries(parts)) metric.set({ part }, value);
    },
  });
});
afterEach(() => {
  vi.useRealTimers();
});

async function figures(): Promise<string[]> {
  return (await registry.metrics()).split("\n").filter((line) => line !== "" && !line.startsWith("#"));
}

it("show what is answered now, asked for once", async () => {
  answers.push(async () => ({ total: 3, parts: { a: 1, b: 2 } }));
  answers.push(async () => ({ total: 2, parts: { b: 2 } }));
  expect(await figures()).toEqual(["total 3", 'parts{part="a"} 1', 'parts{part="b"} 2']);
  expect(ask).toHaveBeenCalledTimes(1);
  expect(await figures()).toEqual(["total 2", 'parts{part="b"} 2']);
});

it("are absent while nobody answers, which is said once, and come back", async () => {
  answers.push(async () => ({ total: 3, parts: { a: 1 } }), refuse, refuse);
  answers.push(async () => ({ total: 4, parts: {} }), refuse);
  await figures();
  expect([await figures(), await figures()]).toEqual([[], []]);
  expect(warnings).toMatchObject([{ metric: "total", err: { message: "nobody there" } }]);
  expect(await figures()).toEqual(["total 4"]);
  await figures();
  expect(warnings, "that it fails again is news").toHaveLength(2);
});

it("are absent when the answer does not come in time, and are not asked for again before it comes", async () => {
  let reply!: (answer: Answer) => void;
  answers.push(() => new Promise((resolve) => (reply = resolve)));
  const look = async () => {
    const looking = figures();
    await vi.advanceTimersByTimeAsync(3_000);
    return looking;
  };
  expect([await look(), await look()]).toEqual([[], []]);
  expect([ask.mock.calls.length, warnings.length]).toEqual([1, 1]);
  answers.push(async () => ({ total: 1, parts: {} }));
  reply({ total: 0, parts: {} });
  await vi.advanceTimersByTimeAsync(0);
  answers.shift();
  expect(await look()).toEqual(["total 1"]);
});
