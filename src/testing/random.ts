import { onTestFailed } from "vitest";

/**
 * Choices that look random. A test that fails prints its seed, and HOLDFAST_TEST_SEED makes the same choices again,
 * though not the same timing.
 */
export function seededRandom(): Random {
  const seed = Number(process.env.HOLDFAST_TEST_SEED ?? Math.floor(Math.random() * 2 ** 32));
  onTestFailed(() => console.error(`The choices can be repeated with HOLDFAST_TEST_SEED=${seed}`));
  return new Random(seed);
}

export class Random {
  private state: number;

  constructor(seed: number) {
    this.state = seed;
  }

  /** Its own sequence, for a client whose choices are not to depend on what others do meanwhile. */
  fork(): Random {
    return new Random(Math.floor(this.fraction() * 2 ** 32));
  }

  /** Both ends included. */
  integer(from: number, to: number): number {
    return from + Math.floor(this.fraction() * (to - from + 1));
  }

  pick<Item>(items: readonly Item[]): Item {
    return items[this.integer(0, items.length - 1)]!;
  }

  shuffled<Item>(items: readonly Item[]): Item[] {
    return items
      .map((item) => ({ item, key: this.fraction() }))
      .sort((a, b) => a.key - b.key)
      .map(({ item }) => item);
  }

  /** mulberry32 */
  private fraction(): number {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.state ^ (this.state >>> 15), this.state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }
}
