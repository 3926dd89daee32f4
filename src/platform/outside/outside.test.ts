import { pino } from "pino";
import { Registry } from "prom-client";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Degraded } from "../http/health.ts";
import { createOutside, NotCalled, type Outside, type OutsideOptions } from "./outside.ts";

let registry: Registry;
let log: { level: number; outside: string }[];
let outside: Outside;

function create(options: Partial<OutsideOptions> = {}): Outside {
  return createOutside({
    name: "bank",
    concurrency: 2,
    timeoutMs: 1_000,
    breaker: { failurePercent: 50, minCalls: 4, openMs: 5_000 },
    registry,
    logger: pino({ level: "debug" }, { write: (line) => log.push(JSON.parse(line)) }),
    ...options,
  });
}

beforeEach(() => {
  vi.useFakeTimers({
    toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "Date", "performance"],
  });
  registry = new Registry();
  log = [];
  outside = create();
});
afterEach(async () => {
  await outside.stop();
  vi.useRealTimers();
});

const answer = async () => "yes";
const failure = new Error("connection refused");
const fail = () => Promise.reject(failure);
const never = () => new Promise<never>(() => {});

/** Work that ends when the test says so. */
function gated() {
  const begun: number[] = [];
  const gates: (() => void)[] = [];
  const work = (n: number) => () => {
    begun.push(n);
    return new Promise<number>((resolve) => gates.push(() => resolve(n)));
  };
  return { begun, work, letThrough: () => gates.shift()!() };
}

async function figures(): Promise<Record<string, number>> {
  const lines = (await registry.metrics()).split("\n");
  return Object.fromEntries(
    lines
      .filter((line) => /^outside_(call_duration_seconds_count|breaker_state)/.test(line))
      .map((line) => line.split(" "))
      .map(([series, value]) => [series!, Number(value)]),
  );
}

async function open(): Promise<void> {
  await Promise.allSettled([fail, fail, fail, fail].map((work) => outside.call(work)));
  expect(outside.state).toBe("open");
}

describe("calls to the outside", () => {
  it("hand on answers as they are, and errors too", async () => {
    await expect(outside.call(answer)).resolves.toBe("yes");
    await expect(outside.call(fail)).rejects.toBe(failure);
    await expect(
      outside.call(() => {
        throw failure;
      }),
    ).rejects.toBe(failure);
    await expect(outside.call(() => Promise.reject())).rejects.toBeUndefined();
  });

  it("are so many at a time; the others follow in their order", async () => {
    const { begun, work, letThrough } = gated();
    const answers = Promise.all([1, 2, 3, 4, 5].map((n) => outside.call(work(n))));
    await expect.poll(() => begun).toEqual([1, 2]);
    expect(await outside.probe.check()).toEqual({ breaker: "closed", calls_in_flight: 2, calls_waiting: 3 });
    letThrough();
    await expect.poll(() => begun).toEqual([1, 2, 3]);
    for (const expected of [4, 5]) {
      letThrough();
      await expect.poll(() => begun).toHaveLength(expected);
    }
    letThrough();
    letThrough();
    expect(await answers).toEqual([1, 2, 3, 4, 5]);
    expect(await outside.probe.check()).toEqual({ breaker: "closed", calls_in_flight: 0, calls_waiting: 0 });
  });

  it("all get their turn, however many wait and however some of them end", async () => {
    const outcomes = await Promise.allSettled(
      Array.from({ length: 2_000 }, (_, n) => outside.call(n % 10 === 0 ? fail : async () => n)),
    );
    expect(outcomes.filter(({ status }) => status === "rejected")).toHaveLength(200);
    expect(outcomes[1_999]).toEqual({ status: "fulfilled", value: 1_999 });
  });

  it("that take too long are given up on, told so, and leave their place to others", async () => {
    const signals: AbortSignal[] = [];
    const hanging = (signal: AbortSignal) => {
      signals.push(signal);
      return never();
    };
    const first = expect(outside.call(hanging)).rejects.toMatchObject({ code: "outside.timed_out" });
    await vi.advanceTimersByTimeAsync(600);
    const second = expect(outside.call(hanging)).rejects.toMatchObject({ code: "outside.timed_out" });
    const third = outside.call(answer);
    await vi.advanceTimersByTimeAsync(399);
    expect(signals.map(({ aborted }) => aborted)).toEqual([false, false]);
    await vi.advanceTimersByTimeAsync(1);
    await first;
    await expect(third).resolves.toBe("yes");
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, false]);
    await vi.advanceTimersByTimeAsync(600);
    await second;
    expect(signals[1]!.aborted).toBe(true);
  });

  it("that were answered are over: their signal stays as it is", async () => {
    let given: AbortSignal | undefined;
    await outside.call(async (signal) => {
      given = signal;
    });
    await vi.advanceTimersByTimeAsync(2_000);
    expect(given!.aborted).toBe(false);
  });

  it("do not lose the time in which they waited for their turn", async () => {
    const outcomes = Promise.allSettled([never, never, answer].map((work) => outside.call<string>(work)));
    await vi.advanceTimersByTimeAsync(1_000);
    expect((await outcomes).map(({ status }) => status)).toEqual(["rejected", "rejected", "fulfilled"]);
  });

  it("share one timer", async () => {
    const timers = vi.getTimerCount();
    const { work, begun, letThrough } = gated();
    const answers = [1, 2].map((n) => outside.call(work(n)));
    await expect.poll(() => begun).toHaveLength(2);
    expect(vi.getTimerCount()).toBe(timers + 1);
    letThrough();
    letThrough();
    await Promise.all(answers);
    for (let i = 0; i < 100; i++) await outside.call(answer);
    expect(vi.getTimerCount()).toBe(timers + 1);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(vi.getTimerCount()).toBe(timers);
  });

  it("are counted by how they ended, under the name of their outside", async () => {
    const carrier = create({ name: "carrier" });
    await carrier.call(answer);
    await carrier.stop();
    await outside.call(answer);
    const late = outside.call(never).catch(() => {});
    await vi.advanceTimersByTimeAsync(1_000);
    await late;
    await open();
    await expect(outside.call(answer)).rejects.toThrow(NotCalled);
    expect(await figures()).toMatchObject({
      'outside_call_duration_seconds_count{name="carrier",outcome="answered"}': 1,
      'outside_call_duration_seconds_count{name="bank",outcome="answered"}': 1,
      'outside_call_duration_seconds_count{name="bank",outcome="timed_out"}': 1,
      'outside_call_duration_seconds_count{name="bank",outcome="failed"}': expect.any(Number),
      'outside_call_duration_seconds_count{name="bank",outcome="not_called"}': expect.any(Number),
      'outside_breaker_state{name="bank"}': 2,
      'outside_breaker_state{name="carrier"}': 0,
    });
  });
});

describe("an outside whose calls fail", () => {
  it("is left alone: nothing is sent, and whoever waited is told as well", async () => {
    const called = vi.fn(answer);
    const works = [fail, fail, fail, fail, called, called];
    const outcomes = await Promise.allSettled(works.map((work) => outside.call<string>(work)));
    expect(outcomes.map((outcome) => outcome.status === "rejected" && outcome.reason)).toEqual([
      ...Array(4).fill(failure),
      ...Array(2).fill(expect.any(NotCalled)),
    ]);
    await expect(outside.call(called)).rejects.toMatchObject({
      code: "outside.breaker_open",
      retryable: true,
    });
    expect(called).not.toHaveBeenCalled();
  });

  it("by not answering in time is left alone too", async () => {
    const outcomes = Promise.allSettled([1, 2, 3, 4].map(() => outside.call(never)));
    await vi.advanceTimersByTimeAsync(2_000);
    await outcomes;
    expect(outside.state).toBe("open");
  });

  it("now and then is called on", async () => {
    for (let i = 0; i < 40; i++) {
      const call = outside.call(i % 4 === 0 ? fail : answer);
      await (i % 4 === 0 ? expect(call).rejects.toBe(failure) : call);
    }
    expect(outside.state).toBe("closed");
  });

  it("is degraded, which takes nobody out of service", async () => {
    await open();
    const found = await outside.probe.check();
    expect(found).toEqual(new Degraded({ breaker: "open", calls_in_flight: 0, calls_waiting: 0 }));
    expect(found).toBeInstanceOf(Degraded);
  });

  it("is tried with one call after a while, and called again when that one is answered", async () => {
    const closed = vi.fn();
    outside.onClose(closed);
    await open();
    await vi.advanceTimersByTimeAsync(5_000);
    expect([outside.state, (await figures())['outside_breaker_state{name="bank"}']]).toEqual([
      "half_open",
      1,
    ]);

    const { begun, work, letThrough } = gated();
    const probe = outside.call(work(1));
    await expect(outside.call(answer)).rejects.toThrow(NotCalled);
    expect([begun, closed.mock.calls]).toEqual([[1], []]);
    letThrough();
    await expect(probe).resolves.toBe(1);
    await expect.poll(() => closed.mock.calls).toHaveLength(1);
    expect([outside.state, (await figures())['outside_breaker_state{name="bank"}']]).toEqual(["closed", 0]);
    await expect(outside.call(answer)).resolves.toBe("yes");
  });

  it("in that one call too is left alone again, with one warning for all of it", async () => {
    await open();
    for (let i = 0; i < 3; i++) {
      await vi.advanceTimersByTimeAsync(5_000);
      await expect(outside.call(fail)).rejects.toBe(failure);
      expect(outside.state).toBe("open");
    }
    expect(log).toMatchObject([{ level: 40, outside: "bank" }]);
  });
});

describe("an outside that is stopped", () => {
  it("finishes the calls that have begun, sends away what waits, and takes nothing more", async () => {
    const { begun, work, letThrough } = gated();
    const answers = [1, 2].map((n) => outside.call(work(n)));
    const waiting = expect(outside.call(work(3))).rejects.toMatchObject({ code: "outside.stopping" });
    await expect.poll(() => begun).toEqual([1, 2]);
    let ended = false;
    const end = outside.stop().then(() => {
      ended = true;
    });
    await waiting;
    await expect(outside.call(answer)).rejects.toBeInstanceOf(NotCalled);
    letThrough();
    await answers[0];
    expect(ended).toBe(false);
    letThrough();
    await end;
    expect(await Promise.all(answers)).toEqual([1, 2]);
    expect([begun, vi.getTimerCount()]).toEqual([[1, 2], 0]);
  });

  it("waits for a call that hangs no longer than any call may take", async () => {
    const hanging = expect(outside.call(never)).rejects.toMatchObject({ code: "outside.timed_out" });
    const end = outside.stop();
    await vi.advanceTimersByTimeAsync(1_000);
    await hanging;
    await end;
  });
});
