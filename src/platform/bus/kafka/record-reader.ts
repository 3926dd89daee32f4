import { IS_COMPRESSED, IS_CONTROL, IS_TRANSACTIONAL } from "@platformatic/kafka";
import { decompressed } from "./decompression.ts";
import { reasonOf } from "./errors.ts";

export interface StoredRecord {
  readonly offset: number;
  readonly key: string;
  readonly body: string;
  readonly headers: Record<string, string>;
  /** It stands for a whole batch that cannot be read, at the last offset of it. */
  readonly unreadable?: { readonly first: number; readonly reason: string };
}

export interface AbortedTransaction {
  readonly producerId: bigint;
  readonly firstOffset: bigint;
}

/** What one fetch has brought of a partition. */
export interface Haul {
  readonly records: readonly StoredRecord[];
  /** Where to go on; the same as before when nothing whole came. */
  readonly next: number;
}

/**
 * The records from the offset on: batches are stored whole, so a fetch may begin before it. Markers of transactions
 * and what belongs to aborted ones are passed over, and half a batch at the end is left for the next fetch. Throws when
 * it cannot even be told where a batch ends.
 */
export function decodeBatches(
  bytes: Buffer,
  offset: number,
  aborted: readonly AbortedTransaction[] = [],
): Haul {
  const records: StoredRecord[] = [];
  const open = new Set<bigint>();
  const pending = [...aborted].sort((a, b) => Number(a.firstOffset - b.firstOffset));
  let next = offset;
  for (let at = 0; at + 61 <= bytes.length; ) {
    const end = at + 12 + bytes.readInt32BE(at + 8);
    if (end > bytes.length) break;
    if (end < at + 61 || bytes[at + 16] !== 2)
      throw new Error("What is stored is no batch of Kafka 0.11 or newer.");
    const batch = bytes.subarray(at, end);
    const first = Number(batch.readBigInt64BE(0));
    const last = first + batch.readInt32BE(23);
    const attributes = batch.readInt16BE(21);
    const producerId = batch.readBigInt64BE(43);
    while (pending.length > 0 && Number(pending[0]!.firstOffset) <= last)
      open.add(pending.shift()!.producerId);
    if (attributes & IS_CONTROL) open.delete(producerId);
    else if (!(attributes & IS_TRANSACTIONAL && open.has(producerId)))
      addBatch(batch, first, last, offset, records);
    next = Math.max(next, last + 1);
    at = end;
  }
  return { records, next };
}

/** All of its records, or one that says why it cannot be read, so that nobody has to stop there. */
function addBatch(batch: Buffer, first: number, last: number, offset: number, records: StoredRecord[]): void {
  const before = records.length;
  try {
    readBatch(batch, first, offset, records);
  } catch (error) {
    records.length = before;
    const unreadable = { first, reason: reasonOf(error) };
    if (last >= offset) records.push({ offset: last, key: "", body: "", headers: {}, unreadable });
  }
}

function readBatch(batch: Buffer, first: number, offset: number, records: StoredRecord[]): void {
  const compression = batch.readInt16BE(21) & IS_COMPRESSED;
  const cursor = new Cursor(compression === 0 ? batch.subarray(61) : decompressed(batch, compression));
  for (let count = batch.readInt32BE(57); count > 0; count--) {
    const length = cursor.varint();
    const end = cursor.at + length;
    cursor.at++; // attributes, of which there are none yet
    cursor.varint(); // when it was written
    const at = first + cursor.varint();
    if (at >= offset) {
      // In the order in which they are stored.
      records.push({ offset: at, key: cursor.text(), body: cursor.text(), headers: cursor.headers() });
    }
    cursor.at = end;
  }
}

class Cursor {
  at = 0;
  private readonly bytes: Buffer;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  /** Zigzag. By arithmetic where bits do not suffice: differences in time may have more than 32 of them. */
  varint(): number {
    let value = 0;
    let factor = 1;
    let byte: number;
    do {
      if (this.at >= this.bytes.length) throw new Error("it ends too early");
      byte = this.bytes[this.at++]!;
      value += (byte & 0x7f) * factor;
      factor *= 128;
    } while (byte & 0x80);
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }

  /** Empty when it is null. */
  text(): string {
    const length = this.varint();
    if (length <= 0) return "";
    const start = this.at;
    this.at += length;
    if (this.at > this.bytes.length) throw new Error("it ends too early");
    return this.bytes.toString("utf8", start, this.at);
  }

  headers(): Record<string, string> {
    const headers: Record<string, string> = {};
    for (let count = this.varint(); count > 0; count--) {
      const name = this.text();
      headers[name] = this.text();
    }
    return headers;
  }
}
