import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { Complaint } from "./complaint.ts";
import type { Logger } from "./logger.ts";

const warn = vi.fn();
const debug = vi.fn();
let complaint: Complaint;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["performance"] });
  complaint = new Complaint({ warn, debug } as unknown as Logger);
});
afterEach(() => {
  vi.useRealTimers();
  vi.clearAllMocks();
});

const away = { err: new Error("the broker is away"), group: "orders" };

it("says what stays the same once a minute, and how often it was", () => {
  for (let second = 0; second < 70; second++) {
    complaint.warn(away, "trying again");
    vi.advanceTimersByTime(1_000);
  }
  expect(warn.mock.calls).toEqual([
    [away, "trying again"],
    [{ ...away, times: 60 }, "trying again"],
  ]);
  expect(debug).toHaveBeenCalledTimes(68);
});

it("says at once what is new, and what comes after it went well", () => {
  const other = { err: new Error("the disk is full") };
  complaint.warn(away, "trying again");
  complaint.warn(other, "trying again");
  complaint.over();
  complaint.warn(other, "trying again");
  expect(warn.mock.calls.map(([context]) => context)).toEqual([away, other, other]);
});
