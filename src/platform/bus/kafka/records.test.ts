import zlib from "node:zlib";
import {
  compressionsAlgorithms,
  crc32c,
  createRecordsBatch,
  Reader,
  readRecordsBatches,
} from "@platformatic/kafka";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeBatches } from "./record-reader.ts";
import { encodeBatch } from "./record-writer.ts";

const stamp = { producerId: 7n, epoch: 2, sequence: 40 };
const now = Date.parse("2026-01-01T00:00:00Z");

describe("batches of records", () => {
  it("come back as they were written", () => {
    const texts = fc.string({ unit: "binary", maxLength: 300 });
    const messages = fc.array(
      fc.record({ key: texts, body: texts, text: texts, at: fc.date({ noInvalidDate: true }) }),
      {
        minLength: 1,
        maxLength: 50,
      },
    );
    fc.assert(
      fc.property(messages, (some) => {
        const bytes = batchOf(
          some.map(({ key, body, text, at }) => ({
            key,
            body,
            attributes: { text, time: at.toISOString() },
          })),
        );
        const { records, next } = decodeBatches(bytes, 0);
        expect(next).toBe(some.length);
        expect(records).toEqual(
          some.map(({ key, body, text, at }, offset) => {
            return { offset, key, body, headers: { ce_text: text, ce_time: at.toISOString() } };
          }),
        );
      }),
    );
  });

  it("are understood by another reader, times and sequence included", () => {
    const times = ["2026-01-02T00:00:00.000Z", "2019-05-06T00:00:00.000Z", undefined];
    const bytes = batchOf(times.map((time) => ({ key: "k", body: "{}", attributes: time ? { time } : {} })));
    const [batch] = readRecordsBatches(Reader.from(bytes));
    expect(batch).toMatchObject({ producerId: 7n, producerEpoch: 2, firstSequence: 40, lastOffsetDelta: 2 });
    expect(
      batch!.records.map(({ timestampDelta }) => Number(batch!.firstTimestamp + timestampDelta)),
    ).toEqual([Date.parse(times[0]!), Date.parse(times[1]!), now]);
    expect(Number(batch!.maxTimestamp)).toBe(Date.parse(times[0]!));
  });

  it("of another writer are understood, compressed ones too", () => {
    for (const compression of ["none", "gzip", "snappy", "lz4"] as const) {
      const { records } = decodeBatches(foreign(compression), 0);
      expect(records).toEqual([{ offset: 0, key: "k", body: "v", headers: { h: "x" } }]);
    }
  });

  it("are understood in the blocks in which Java's clients write snappy", () => {
    const plain = foreign("none");
    const framed = recompressed(plain, 2, xerial(plain.subarray(61), 5));
    expect(decodeBatches(framed, 0)).toEqual(decodeBatches(plain, 0));
  });

  it.each<[string, Buffer, string]>([
    [
      "compressed in a way that nobody knows",
      recompressed(foreign("none"), 7, Buffer.from("?")),
      "7 is not known",
    ],
    ["not snappy", recompressed(foreign("none"), 2, Buffer.from("junk")), "not snappy"],
    [
      "cut off within a block",
      recompressed(foreign("none"), 2, xerial(Buffer.alloc(99), 50).subarray(0, -1)),
      "not whole",
    ],
    ["not lz4", recompressed(foreign("none"), 3, Buffer.from("junk junk junk")), "not lz4"],
    ["not gzip", recompressed(foreign("none"), 1, Buffer.from("junk")), "incorrect header check"],
    ["larger than memory", recompressed(foreign("none"), 1, bomb()), "Cannot create a Buffer larger than"],
    ["broken on the disk", broken(foreign("snappy")), "checksum is wrong"],
    [
      "shorter than it says",
      recompressed(foreign("none"), 0, foreign("none").subarray(61, -3)),
      "ends too early",
    ],
  ])("are passed over with the reason when one is %s, and the others are read", (_, odd, reason) => {
    odd.writeBigInt64BE(3n, 0);
    const { records, next } = decodeBatches(Buffer.concat([at(0, 3), odd, at(4, 2)]), 0);
    expect(records.map(({ offset }) => offset)).toEqual([0, 1, 2, 3, 4, 5]);
    expect(next).toBe(6);
    expect(records.filter(({ unreadable }) => unreadable)).toEqual([
      {
        offset: 3,
        key: "",
        body: "",
        headers: {},
        unreadable: { first: 3, reason: expect.stringContaining(reason) },
      },
    ]);
  });

  it("are not looked for where nothing is one", () => {
    for (const odd of [at(0, 1).fill(0, 8, 12), at(0, 1).fill(1, 16, 17)]) {
      expect(() => decodeBatches(odd, 0)).toThrow("no batch of Kafka 0.11");
    }
  });

  it("begin before the offset that is wanted, and may be cut off at the end", () => {
    const bytes = Buffer.concat([at(0, 3), at(3, 3), at(6, 3)]);
    const { records, next } = decodeBatches(bytes.subarray(0, bytes.length - 1), 2);
    expect(records.map(({ offset }) => offset)).toEqual([2, 3, 4, 5]);
    expect(next).toBe(6);
    expect(decodeBatches(bytes.subarray(0, 40), 0)).toEqual({ records: [], next: 0 });
  });

  it("of transactions are left out when they were aborted, and so are the marks", () => {
    const transactional = 0b1_0000;
    const mark = 0b11_0000;
    const bytes = Buffer.concat([
      at(0, 2, transactional, 1n),
      at(2, 2, transactional, 2n),
      at(4, 2),
      at(6, 1, mark, 1n),
      at(7, 2, transactional, 1n),
      at(9, 1, mark, 2n),
    ]);
    const { records, next } = decodeBatches(bytes, 0, [{ producerId: 1n, firstOffset: 0n }]);
    expect(records.map(({ offset }) => offset)).toEqual([2, 3, 4, 5, 7, 8]);
    expect(next).toBe(10);
  });
});

function batchOf(messages: Parameters<typeof encodeBatch>[0]): Buffer {
  return encodeBatch(messages, stamp, now).bytes;
}

function at(offset: number, count: number, attributes = 0, producerId = 7n): Buffer {
  const bytes = batchOf(Array.from({ length: count }, () => ({ key: "k", body: "{}", attributes: {} })));
  bytes.writeBigInt64BE(BigInt(offset), 0);
  bytes.writeInt16BE(attributes, 21);
  bytes.writeBigInt64BE(producerId, 43);
  return bytes;
}

function foreign(compression: "none" | "gzip" | "snappy" | "lz4"): Buffer {
  const headers = new Map([[Buffer.from("h"), Buffer.from("x")]]);
  const message = { key: Buffer.from("k"), value: Buffer.from("v"), topic: "t", headers };
  return createRecordsBatch([message], { compression }).buffer;
}

/** The batch with other bytes for its records. */
function recompressed(batch: Buffer, compression: number, records: Buffer): Buffer {
  const bytes = Buffer.concat([batch.subarray(0, 61), records]);
  bytes.writeInt32BE(bytes.length - 12, 8);
  bytes.writeInt16BE(compression, 21);
  bytes.writeUInt32BE(crc32c(bytes.subarray(21)), 17);
  return bytes;
}

function broken(batch: Buffer): Buffer {
  const bytes = Buffer.from(batch);
  bytes[bytes.length - 1]! ^= 1;
  return bytes;
}

function xerial(bytes: Buffer, blockBytes: number): Buffer {
  const parts: Buffer[] = [Buffer.from("\x82SNAPPY\0\0\0\0\x01\0\0\0\x01", "latin1")];
  for (let start = 0; start < bytes.length; start += blockBytes) {
    const block = bytes.subarray(start, start + blockBytes);
    const compressed = compressionsAlgorithms.snappy.compressSync(block) as Buffer;
    const length = Buffer.alloc(4);
    length.writeInt32BE(compressed.length);
    parts.push(length, compressed);
  }
  return Buffer.concat(parts);
}

function bomb(): Buffer {
  const part = zlib.gzipSync(Buffer.alloc(2 ** 24));
  return Buffer.concat(Array.from({ length: 17 }, () => part));
}
