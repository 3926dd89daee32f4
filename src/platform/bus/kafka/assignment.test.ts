import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { assign, type Member, type TopicPartition } from "./assignment.ts";

describe("sharing out partitions", () => {
  it("gives a single member everything", () => {
    expect(shares([member("a", "")], { t: 3 })).toEqual({ a: "t0 t1 t2" });
  });

  it("shares evenly among new members", () => {
    expect(shares([member("a", ""), member("b", "")], { t: 4 })).toEqual({ a: "t0 t2", b: "t1 t3" });
  });

  it("evens out over all topics when there are fewer partitions than members", () => {
    expect(shares([member("a", ""), member("b", "")], { t: 1, u: 1 })).toEqual({ a: "t0", b: "u0" });
    expect(shares([member("a", "t0 u0 v0"), member("b", "")], { t: 1, u: 1, v: 1 })).toEqual({
      a: "u0 v0",
      b: "",
    });
  });

  it("leaves members what they have", () => {
    expect(shares([member("a", "t1 t3"), member("b", "t0 t2")], { t: 4 })).toEqual({
      a: "t1 t3",
      b: "t0 t2",
    });
  });

  it("takes away first, and gives in the next round", () => {
    const before = [member("a", "t0 t1 t2 t3"), member("b", "")];
    expect(shares(before, { t: 4 })).toEqual({ a: "t0 t1", b: "" });
    expect(shares([member("a", "t0 t1"), member("b", "")], { t: 4 })).toEqual({ a: "t0 t1", b: "t2 t3" });
  });

  it("gives at once what belonged to somebody who is gone", () => {
    expect(shares([member("a", "t0 t1")], { t: 4 })).toEqual({ a: "t0 t1 t2 t3" });
  });

  it("believes the newer of two claims, and neither of two that are equally new", () => {
    const old = { ...member("a", "t0"), generation: 4 };
    const recent = { ...member("b", "t0"), generation: 5 };
    expect(shares([old, recent], { t: 1 })).toEqual({ a: "", b: "t0" });
    expect(shares([recent, old], { t: 1 })).toEqual({ a: "", b: "t0" });
    expect(shares([member("a", "t0"), member("b", "t0")], { t: 1 })).toEqual({ a: "t0", b: "" });
  });

  it("passes over what members do not follow and partitions that are no more", () => {
    const other = { ...member("b", ""), topics: ["u"] };
    const one = { ...member("a", "t0 t9 u0"), topics: ["t"] };
    expect(shares([one, other], { t: 2, u: 2 })).toEqual({ a: "t0 t1", b: "u0 u1" });
  });

  it("settles in a few rounds with everything in one place each, evenly", () => {
    const sizes = fc.array(fc.nat({ max: 7 }), { minLength: 1, maxLength: 4 });
    const claims = fc.array(fc.tuple(fc.nat({ max: 4 }), fc.nat({ max: 3 }), fc.nat({ max: 7 })), {
      maxLength: 20,
    });
    const counts = fc.integer({ min: 1, max: 5 });
    fc.assert(
      fc.property(sizes, claims, counts, (partitions, claimed, count) => {
        const topics = partitions.map((_, index) => `t${index}-`);
        const all = new Map(topics.map((topic, index) => [topic, partitions[index]!]));
        let members: Member[] = Array.from({ length: count }, (_, id) => {
          const owned = claimed
            .filter(([of]) => of % count === id)
            .map(([, topic, partition]) => {
              return { topic: `t${topic}-`, partition };
            });
          return { id: `m${id}`, topics, owned, generation: id % 2 };
        });
        for (let round = 0; round < 4; round++) {
          const given = assign(members, all);
          members = members.map((one) => ({ ...one, owned: given.get(one.id)!, generation: 5 + round }));
        }
        const owned = members.flatMap((one) => one.owned.map(textOf));
        const wanted = [...all].flatMap(([topic, size]) =>
          Array.from({ length: size }, (_, p) => `${topic}${p}`),
        );
        expect(owned.sort()).toEqual(wanted.sort());
        const loads = members.map((one) => one.owned.length);
        expect(Math.max(...loads) - Math.min(...loads)).toBeLessThan(2);
      }),
    );
  });
});

function member(id: string, owned: string): Member {
  const partitions =
    owned === "" ? [] : owned.split(" ").map((text) => ({ topic: text[0]!, partition: Number(text[1]) }));
  return { id, topics: ["t", "u", "v"], owned: partitions, generation: 1 };
}

function shares(members: readonly Member[], partitions: Record<string, number>): Record<string, string> {
  const given = assign(members, new Map(Object.entries(partitions)));
  return Object.fromEntries([...given].map(([id, some]) => [id, some.map(textOf).sort().join(" ")]));
}

function textOf({ topic, partition }: TopicPartition): string {
  return `${topic}${partition}`;
}
