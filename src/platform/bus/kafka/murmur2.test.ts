import { expect, it } from "vitest";
import { murmur2, partitionOf } from "./murmur2.ts";

// The figures of Kafka's own test.
it.each([
  ["21", -973932308],
  ["foobar", -790332482],
  ["a-little-bit-long-string", -985981536],
  ["a-little-bit-longer-string", -1486304829],
  ["lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971],
  ["abc", 479470107],
])("hashes %s as Kafka's Java client does", (text, hash) => {
  expect(murmur2(Buffer.from(text))).toBe(hash);
});

it("takes the hash without its sign for the partition", () => {
  expect(partitionOf(Buffer.from("21"), 6)).toBe((-973932308 & 0x7fffffff) % 6);
  expect(partitionOf(Buffer.from("abc"), 6)).toBe(479470107 % 6);
});
