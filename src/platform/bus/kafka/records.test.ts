import { createRecordsBatch, Reader, readRecordsBatches } from "@platformatic/kafka";
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
    const messages = [
      {
        key: Buffer.from("k"),
        value: Buffer.from("v"),
        topic: "t",
        headers: new Map([[Buffer.from("h"), Buffer.from("x")]]),
      },
    ];
    for (const compression of ["none", "gzip"] as const) {
      const { records } = decodeBatches(createRecordsBatch(messages, { compression }).buffer, 0);
      expect(records).toEqual([{ offset: 0, key: "k", body: "v", headers: { h: "x" } }]);
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
