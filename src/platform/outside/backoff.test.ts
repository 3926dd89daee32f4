import { afterEach, describe, expect, it, vi } from "vitest";
import { backoff } from "./backoff.ts";

const limits = { firstMs: 100, maxMs: 1_000 };

afterEach(() => vi.restoreAllMocks());

describe("backoff", () => {
  it.each([
    [1, 100],
    [2, 200],
    [3, 400],
    [4, 800],
    [5, 1_000],
    [10_000, 1_000],
  ])("after %i failures is at most %i ms", (failures, ceiling) => {
    vi.spyOn(Math, "random").mockReturnValue(1);
    expect(backoff(failures, limits)).toBe(ceiling);
  });

  it.each([
    [0, 0],
    [0.25, 100],
    [0.5, 200],
  ])("is anywhere below that: chance %d makes it %i ms", (chance, waited) => {
    vi.spyOn(Math, "random").mockReturnValue(chance);
    expect(backoff(3, limits)).toBe(waited);
  });
});
