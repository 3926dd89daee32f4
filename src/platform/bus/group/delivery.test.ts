import { describe, expect, it } from "vitest";
import type { BusEvent } from "../port.ts";
import { share } from "./delivery.ts";
import { Suspicion } from "./suspicion.ts";

describe("a batch is shared among the topics", () => {
  it.each<[string, number[], number, number[]]>([
    ["all of it when it fits", [3, 0, 4], 10, [3, 0, 4]],
    ["evenly when all have too much", [50, 50], 10, [5, 5]],
    ["what one does not need goes to the others", [2, 50, 50], 10, [2, 4, 4]],
    ["and is filled to the last place", [50, 50, 50], 10, [3, 3, 4]],
    ["one alone is somebody's", [0, 5, 3], 1, [0, 1, 0]],
    ["nothing when there is nothing", [0, 0], 10, [0, 0]],
  ])("%s", (_, waiting, limit, shares) => {
    expect(share(waiting, limit)).toEqual(shares);
  });
});

describe("the event that a batch fails for", () => {
  function event(n: number): BusEvent {
    return { id: `t-${n}-0`, topic: "t", type: "T", subject: `${n}`, key: `${n}`, at: new Date(0), data: {} };
  }

  /** Handles `count` events of which some fail, as a consumer does; answers what was set aside and how often it tried. */
  function search(count: number, isBad: (n: number) => boolean) {
    const suspicion = new Suspicion();
    const [handled, aside]: [number[], number[]] = [[], []];
    let tries = 0;
    for (let next = 0; next < count; ) {
      const size = Math.min(suspicion.limit ?? 1_000, count - next);
      const batch = Array.from({ length: size }, (_, i) => event(next + i));
      if (suspicion.condemns(batch) !== undefined) {
        aside.push(next);
      } else {
        tries++;
        if (batch.some(({ subject }) => isBad(Number(subject)))) {
          suspicion.failed(batch, new Error("bad"));
          continue;
        }
        handled.push(...batch.map(({ subject }) => Number(subject)));
      }
      suspicion.settled();
      next += size;
    }
    return { handled, aside, tries };
  }

  it.each([0, 1, 250, 498, 499])("is found at place %i of 500 within some thirty tries", (bad) => {
    const { handled, aside, tries } = search(500, (n) => n === bad);
    expect(aside).toEqual([bad]);
    expect(handled).toHaveLength(499);
    expect(tries).toBeLessThan(35);
  });

  it("is found when it is one of many, and when all fail", () => {
    expect(search(100, (n) => n % 7 === 3).aside).toEqual([
      3, 10, 17, 24, 31, 38, 45, 52, 59, 66, 73, 80, 87, 94,
    ]);
    const all = search(64, () => true);
    expect(all.aside).toHaveLength(64);
    expect(all.tries).toBeLessThan(64 * 5);
  });

  it("is not blamed for the failures of another one", () => {
    const suspicion = new Suspicion();
    suspicion.failed([event(1)], new Error("bad"));
    suspicion.failed([event(1)], new Error("bad"));
    suspicion.failed([event(2)], new Error("bad"));
    expect(suspicion.condemns([event(2)])).toBeUndefined();
    suspicion.failed([event(2)], new Error("bad"));
    suspicion.failed([event(2)], new Error("worse"));
    expect(suspicion.condemns([event(2)])).toMatchObject({ error: new Error("worse") });
    expect(suspicion.condemns([event(1)])).toBeUndefined();
  });
});
