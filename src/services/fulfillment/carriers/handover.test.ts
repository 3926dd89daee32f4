import { describe, expect, it } from "vitest";
import { type BreakerState, createOutside, NotCalled } from "../../../platform/outside/outside.ts";
import { createLogger } from "../../../platform/telemetry/logger.ts";
import { createRegistry } from "../../../platform/telemetry/metrics.ts";
import { untraced } from "../../../platform/telemetry/tracer.ts";
import type { RecordHandover, Shipment } from "../contract.ts";
import { unborn } from "../shipment.ts";
import { Handover, type HandoverOptions } from "./handover.ts";
import type { Carrier } from "./port.ts";
import { simulatedCarrier } from "./simulated.ts";

function shipment(id: string, more: Partial<Shipment> = {}): Shipment {
  const lines = [{ store_id: "main", sku: "MUG", quantity: 1, quantity_shipped: 0 }];
  return { ...unborn(id, id, new Date()), status: "handing_over", lines, ...more };
}

const silent = createLogger("silent");
const never = new AbortController().signal;

function outsideOf(timeoutMs = 10_000): HandoverOptions["outside"] {
  return createOutside({
    name: "carrier",
    concurrency: 64,
    timeoutMs,
    breaker: { failurePercent: 50, minCalls: 1_000, openMs: 5_000 },
    registry: createRegistry(),
    logger: silent,
  });
}

/** Hands over what is given, and answers with what was brought back. */
async function outcomesOf(
  carrier: Carrier,
  shipments: Shipment[],
  outside = outsideOf(),
): Promise<RecordHandover[]> {
  const brought: RecordHandover[] = [];
  const handover = new Handover({
    carrier,
    outside,
    submit: async (command) => brought.push(command),
    tracer: untraced,
    logger: silent,
  });
  handover.start();
  handover.take(shipments);
  await handover.stop();
  return brought;
}

function outcomes(brought: RecordHandover[]) {
  return brought.map(({ outcome }) => outcome);
}

describe("handing over", () => {
  it("ships what is taken, and what is taken twice once", async () => {
    let calls = 0;
    const carrier: Carrier = {
      name: "van",
      async ship({ shipment_id }) {
        calls++;
        return { result: "shipped", tracking: `T-${shipment_id}` };
      },
      find: async () => undefined,
    };
    const one = shipment("s1", { origin: { cause: "orders-1-0" } });
    const brought = await outcomesOf(carrier, [one, one]);
    expect(brought).toEqual([
      {
        type: "RecordHandover",
        shipment_id: "s1",
        cause: "orders-1-0",
        outcome: { result: "shipped", carrier: "van", tracking: "T-s1" },
      },
    ]);
    expect(calls).toBe(1);
  });

  it("asks first after an answer that never came, and ships nothing again", async () => {
    const carrier = simulatedCarrier();
    await carrier.ship({ shipment_id: "s1", lines: [] }, never);
    carrier.ship = () => Promise.reject(new Error("shipped twice"));
    const brought = await outcomesOf(carrier, [shipment("s1", { attempts: 1 })]);
    expect(outcomes(brought)).toEqual([{ result: "shipped", carrier: "simulated", tracking: "SIM-s1" }]);
  });

  it("ships after asking when the carrier has never heard of it, unless it is to be cancelled", async () => {
    const open = shipment("s1", { attempts: 1 });
    const unwanted = shipment("s2", { attempts: 1, cancel_wanted: { reason: "changed" } });
    expect(outcomes(await outcomesOf(simulatedCarrier(), [open]))).toEqual([
      { result: "shipped", carrier: "simulated", tracking: "SIM-s1" },
    ]);
    expect(outcomes(await outcomesOf(simulatedCarrier(), [unwanted]))).toEqual([{ result: "absent" }]);
  });

  it("tells a call that failed from one that was not made", async () => {
    const down = simulatedCarrier();
    down.settings = { latency_ms: 0, failure_rate: 0, down: true };
    expect(outcomes(await outcomesOf(down, [shipment("s1")]))).toMatchObject([{ result: "unanswered" }]);
    const leftAlone = new NotCalled("outside.breaker_open", "left alone", { retryable: true });
    const closed = { ...outsideOf(), call: () => Promise.reject(leftAlone) };
    expect(outcomes(await outcomesOf(down, [shipment("s1")], closed))).toMatchObject([
      { result: "not_tried" },
    ]);
  });

  it("does not ship once it has been given up on while it asked", async () => {
    let shipped = false;
    let asked: Promise<unknown> | undefined;
    const slow: Carrier = {
      ...simulatedCarrier(),
      find(_id, signal) {
        const answer = new Promise<undefined>((resolve) => {
          signal.addEventListener("abort", () => resolve(undefined));
        });
        asked = answer;
        return answer;
      },
      async ship() {
        shipped = true;
        return { result: "shipped", tracking: null };
      },
    };
    const brought = await outcomesOf(slow, [shipment("s1", { attempts: 1 })], outsideOf(20));
    expect(outcomes(brought)).toMatchObject([{ result: "unanswered" }]);
    await asked;
    await new Promise(setImmediate);
    expect(shipped).toBe(false);
  });

  it("calls for no more than a number of them at once, and gives back the rest when it is stopped", async () => {
    let underWay = 0;
    let most = 0;
    const carrier: Carrier = {
      name: "slow",
      async ship() {
        most = Math.max(most, ++underWay);
        await new Promise((resolve) => setTimeout(resolve, 20));
        underWay--;
        return { result: "shipped", tracking: null };
      },
      find: async () => undefined,
    };
    const many = Array.from({ length: 200 }, (_, i) => shipment(`s${i}`));
    const brought = outcomes(await outcomesOf(carrier, many));
    expect(most).toBe(64);
    expect(brought).toHaveLength(200);
    expect(brought.filter(({ result }) => result === "not_tried")).toHaveLength(136);
  });

  it("has no room before it is started, when the carrier is unreachable, and when it is full", () => {
    let state: BreakerState = "closed";
    const handover = new Handover({
      carrier: simulatedCarrier(),
      outside: {
        call: () => new Promise(() => {}),
        get state() {
          return state;
        },
        stop: async () => {},
      },
      submit: async () => {},
      tracer: untraced,
      logger: silent,
    });
    expect(handover.room).toBe(0);
    handover.start();
    const room = handover.room;
    expect(room).toBeGreaterThan(0);
    state = "open";
    expect(handover.room).toBe(0);
    state = "half_open";
    expect(handover.room).toBe(1);
    state = "closed";
    handover.take(Array.from({ length: room }, (_, i) => shipment(`s${i}`)));
    expect(handover.room).toBe(0);
  });
});

describe("the simulated carrier", () => {
  it("refuses the share that it is told to, and the same ones each time", async () => {
    const carrier = simulatedCarrier();
    carrier.settings = { latency_ms: 0, failure_rate: 0.3, down: false };
    const ask = () =>
      Promise.all(
        Array.from(
          { length: 1_000 },
          async (_, i) => (await carrier.ship({ shipment_id: `order-${i}`, lines: [] }, never)).result,
        ),
      );
    const first = await ask();
    const refused = first.filter((result) => result === "refused").length;
    expect(refused).toBeGreaterThan(200);
    expect(refused).toBeLessThan(400);
    expect(await ask()).toEqual(first);
  });
});
