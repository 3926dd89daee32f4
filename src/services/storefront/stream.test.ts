import { describe, expect, it } from "vitest";
import { Availability, type Place, type Statement } from "./availability.ts";
import { type Stream, type StreamFilter, Streams } from "./stream.ts";

interface Sent {
  readonly id?: string;
  readonly sku?: string;
  readonly store_id?: string;
  readonly quantity_available?: number;
}

/** Stock that moves, and the streams that show it. */
class Window {
  readonly availability = new Availability();
  readonly streams = new Streams(this.availability, () => ',"as_of":"now"}');
  private readonly versions = new Map<string, number>();
  private position = 0;
  news = 0;

  /** One batch; each SKU's movement is an event of its own. */
  move(quantities: Record<string, number>, store_id = "main"): void {
    const statements = Object.entries(quantities).map(([sku, quantity_available], index): Statement => {
      const version = (this.versions.get(sku + store_id) ?? 0) + 1;
      this.versions.set(sku + store_id, version);
      return { about: "stock", index, store_id, sku, quantity_available, version };
    });
    this.apply(...statements);
  }

  apply(...statements: Statement[]): void {
    this.streams.changed(this.availability.apply(++this.position, statements, statements.length - 1));
    this.streams.notify();
  }

  watch(filter: StreamFilter = {}, since?: Place): Stream {
    const news = () => {
      this.news++;
    };
    return this.streams.watch(filter, since, { news, beat() {}, end() {} });
  }
}

/** Reads until there is nothing more. */
function read(stream: Stream): Sent[] {
  let text = "";
  for (let piece = stream.take(); piece !== "" || stream.isSearching; piece = stream.take()) text += piece;
  return text
    .split("\n\n")
    .slice(0, -1)
    .map((block) => {
      const fields = block.split("\n").map((line) => line.split(/: (.*)/s, 2) as [string, string]);
      const { id, data } = Object.fromEntries(fields);
      return { ...(id && { id }), ...(data && JSON.parse(data)) };
    });
}

const item = (sku: string, quantity_available: number, store_id = "main") => ({
  sku,
  quantity_available,
  store_id,
  version: expect.any(Number),
  as_of: "now",
});

describe("a stream", () => {
  it("shows how each record stands, then each change with its place", () => {
    const window = new Window();
    window.move({ A: 1, B: 2 });
    const stream = window.watch();
    expect(read(stream)).toEqual([item("A", 1), item("B", 2), { id: "1-1" }]);
    window.move({ B: 5, A: 6 });
    expect(read(stream)).toEqual([
      { id: "2-0", ...item("B", 5) },
      { id: "2-1", ...item("A", 6) },
    ]);
    expect(read(stream)).toEqual([]);
  });

  it("names a place with the last record of it alone, so that one that breaks off before is sent all of it again", () => {
    const window = new Window();
    window.move({ A: 1 });
    window.move({ A: 1 }, "shop");
    const stream = window.watch();
    read(stream);
    window.apply({ about: "listing", index: 0, sku: "A", listed: false });
    const sent = read(stream);
    expect(sent.map(({ quantity_available }) => quantity_available)).toEqual([0, 0]);
    expect(sent.map(({ id }) => id)).toEqual([undefined, "3-0"]);
  });

  it.each<[string, StreamFilter, string[]]>([
    ["all", {}, ["main/A", "shop/A", "main/B", "shop/B"]],
    ["one SKU", { skus: ["A"] }, ["main/A", "shop/A"]],
    ["two SKUs, one unknown so far", { skus: ["A", "N"] }, ["main/A", "shop/A", "main/N"]],
    ["one store", { store_id: "shop" }, ["shop/A", "shop/B"]],
    ["one SKU in one store", { skus: ["B"], store_id: "main" }, ["main/B"]],
  ])("of %s shows just that, at first and later", (what, filter, expected) => {
    const window = new Window();
    const everything = () => {
      window.move({ A: 1, B: 1 });
      window.move({ A: 1, B: 1 }, "shop");
    };
    const keys = (sent: Sent[]) =>
      sent.filter(({ sku }) => sku !== undefined).map(({ store_id, sku }) => `${store_id}/${sku}`);
    everything();
    const stream = window.watch(filter);
    const known = expected.filter((key) => key !== "main/N");
    expect(keys(read(stream)).sort()).toEqual([...known].sort());
    everything();
    if (what.includes("unknown")) window.move({ N: 1 });
    expect(keys(read(stream)).sort()).toEqual([...expected].sort());
  });

  it("that is read slowly gets the newest state of each record, once, in the order of the places", () => {
    const window = new Window();
    window.move({ A: 0, B: 0 });
    const stream = window.watch();
    read(stream);
    for (let n = 1; n <= 1_000; n++) window.move({ A: n });
    window.move({ B: 7 });
    window.move({ A: 9 });
    expect(read(stream)).toEqual([
      { id: "1002-0", ...item("B", 7) },
      { id: "1003-0", ...item("A", 9) },
    ]);
  });

  it("that has missed more than it can remember loses nothing", () => {
    const window = new Window();
    const quantities = (from: number, to: number, quantity: number) =>
      Object.fromEntries(Array.from({ length: to - from }, (_, i) => [`S${from + i}`, quantity]));
    window.move(quantities(0, 9_000, 1));
    const stream = window.watch();
    read(stream);
    window.move(quantities(0, 5_000, 2));
    window.move({ S8999: 3 });
    const sent = new Map(read(stream).map(({ sku, quantity_available }) => [sku, quantity_available]));
    expect(sent.size).toBe(5_001 + 1); // and one that tells the place
    expect([sent.get("S0"), sent.get("S4999"), sent.get("S5000"), sent.get("S8999")]).toEqual([
      2,
      2,
      undefined,
      3,
    ]);
    window.move({ S1: 4 });
    expect(read(stream)).toEqual([{ id: "4-0", ...item("S1", 4) }]);
  });

  it("shows what changes while the first states are still being sent", () => {
    const window = new Window();
    window.move(Object.fromEntries(Array.from({ length: 8_000 }, (_, i) => [`S${i}`, 1])));
    const stream = window.watch();
    stream.take();
    window.move({ S0: 2, S7999: 2, NEW: 2 });
    const last = new Map(read(stream).map(({ sku, quantity_available }) => [sku, quantity_available]));
    expect([last.get("S0"), last.get("S7999"), last.get("NEW")]).toEqual([2, 2, 2]);
  });
});

describe("a stream that goes on from a place", () => {
  it("shows what has changed since, and each record once", () => {
    const window = new Window();
    window.move({ A: 1, B: 1, C: 1 });
    window.move({ B: 2, C: 2 });
    window.move({ C: 3 });
    expect(read(window.watch({}, { position: 1, index: 2 }))).toEqual([
      item("B", 2),
      item("C", 3),
      { id: "3-0" },
    ]);
    expect(read(window.watch({}, { position: 2, index: 0 }))).toEqual([item("C", 3), { id: "3-0" }]);
    expect(read(window.watch({}, { position: 3, index: 0 }))).toEqual([{ id: "3-0" }]);
  });

  it("further than this process has come shows every change from here on", () => {
    const window = new Window();
    window.move({ A: 1 });
    const stream = window.watch({}, { position: 900, index: 0 });
    expect(read(stream)).toEqual([{ id: "1-0" }]);
    window.move({ A: 2 });
    expect(read(stream)).toEqual([{ id: "2-0", ...item("A", 2) }]);
  });

  it("ends with what an uninterrupted one ends with, wherever it is interrupted", () => {
    const window = new Window();
    const skus = ["A", "B", "C", "D"];
    window.move({ A: 0, B: 0, C: 0, D: 0 });
    const shown = new Map<string, number>();
    let id: string | undefined;
    for (let n = 1; n <= 60; n++) {
      const place = id?.split("-").map(Number);
      const stream = window.watch({}, place && { position: place[0]!, index: place[1]! });
      for (let m = 0; m < n % 4; m++)
        window.move({ [skus[(n + m) % 4]!]: n, [skus[(n * 3 + m) % 4]!]: n + 100 });
      // What is behind the cut never arrived.
      for (const sent of read(stream).slice(0, (n * 7) % 9)) {
        if (sent.sku !== undefined) shown.set(sent.sku, sent.quantity_available!);
        id = sent.id ?? id;
      }
      stream.close();
    }
    const place = id!.split("-").map(Number);
    for (const { sku, quantity_available } of read(
      window.watch({}, { position: place[0]!, index: place[1]! }),
    )) {
      if (sku !== undefined) shown.set(sku, quantity_available!);
    }
    const expected = read(window.watch()).filter(({ sku }) => sku !== undefined);
    expect(Object.fromEntries(shown)).toEqual(
      Object.fromEntries(expected.map(({ sku, quantity_available }) => [sku, quantity_available])),
    );
  });
});

it("only the streams that show what has changed are woken", () => {
  const window = new Window();
  window.move({ A: 1, B: 1 });
  for (let i = 0; i < 10; i++) window.watch({ skus: [i === 0 ? "A" : "B"] });
  window.watch({ store_id: "shop" });
  window.move({ A: 2 });
  expect(window.news).toBe(1);
});

it("a stream that was closed is woken no more", () => {
  const window = new Window();
  for (const filter of [{}, { skus: ["A"] }, { store_id: "main" }]) window.watch(filter).close();
  window.move({ A: 1 });
  expect([window.news, window.streams.size]).toEqual([0, 0]);
});
