import { crc32c } from "@platformatic/kafka";
import type { OutgoingMessage } from "../broker/broker.ts";

/** The idempotent producer: the broker takes each batch once, in the order of the sequence, however often it is sent. */
export interface Stamp {
  readonly producerId: bigint;
  readonly epoch: number;
  readonly sequence: number;
}

export interface EncodedBatch {
  readonly bytes: Buffer;
  readonly count: number;
}

const headBytes = 61;
const longestVarint = 5;
/** Its length takes one byte. */
const longestShortText = 63;
/** What stands in a record for an attribute's name. They are few, and the same in every message. */
const headerNames = new Map<string, Buffer>();
/** The trace is also found under the name where tracers look for it. */
const plainTraceparent = written("traceparent");

/** How many bytes a message takes at most. */
export function roomFor({ key, attributes, body }: OutgoingMessage): number {
  let bytes = 128 + Buffer.byteLength(key) + Buffer.byteLength(body);
  // No character takes more than three bytes; `traceparent` is there twice.
  for (const name in attributes) bytes += name.length + 3 * attributes[name]!.length + 16;
  return bytes + (attributes.traceparent?.length ?? 0);
}

/**
 * One batch of records (format 2). Written by hand: the client's own encoder makes some fifty small buffers of each
 * message, which costs ten times as much.
 */
export function encodeBatch(messages: readonly OutgoingMessage[], stamp: Stamp, now: number): EncodedBatch {
  let room = headBytes;
  for (const message of messages) room += roomFor(message);
  const out = Buffer.allocUnsafe(room);
  const times = timesOf(messages, now);
  let at = headBytes;
  for (let index = 0; index < messages.length; index++) {
    const body = at + longestVarint;
    const length = writeRecord(out, body, messages[index]!, index, times[index]! - times[0]!) - body;
    at = writeVarint(out, at, length);
    out.copyWithin(at, body, body + length);
    at += length;
  }
  writeHead(out, at, times, stamp);
  return { bytes: out.subarray(0, at), count: messages.length };
}

function writeHead(out: Buffer, end: number, times: readonly number[], stamp: Stamp): void {
  const count = times.length;
  out.writeBigInt64BE(0n, 0);
  out.writeInt32BE(end - 12, 8); // the length of what follows
  out.writeInt32BE(-1, 12); // the leader's epoch is the broker's to fill in
  out.writeInt8(2, 16); // the format
  out.writeInt16BE(0, 21); // attributes
  out.writeInt32BE(count - 1, 23);
  out.writeBigInt64BE(BigInt(times[0]!), 27);
  out.writeBigInt64BE(BigInt(Math.max(...times)), 35);
  out.writeBigInt64BE(stamp.producerId, 43);
  out.writeInt16BE(stamp.epoch, 51);
  out.writeInt32BE(stamp.sequence, 53);
  out.writeInt32BE(count, 57);
  out.writeUInt32BE(crc32c(out.subarray(21, end)), 17);
}

function writeRecord(
  out: Buffer,
  start: number,
  message: OutgoingMessage,
  index: number,
  laterMs: number,
): number {
  const { attributes } = message;
  let at = start;
  out[at++] = 0; // attributes
  at = writeVarint(out, at, laterMs);
  at = writeVarint(out, at, index);
  at = writeText(out, at, message.key);
  at = writeText(out, at, message.body);
  const { traceparent } = attributes;
  at = writeVarint(out, at, Object.keys(attributes).length + (traceparent === undefined ? 0 : 1));
  for (const name in attributes) {
    at += headerName(name).copy(out, at);
    at = writeText(out, at, attributes[name]!);
  }
  if (traceparent === undefined) return at;
  at += plainTraceparent.copy(out, at);
  return writeText(out, at, traceparent);
}

/** What is short, and most of that is ASCII, is written faster than it is handed over to be written. */
function writeText(out: Buffer, at: number, text: string): number {
  const { length } = text;
  if (length > longestShortText) return writeLongText(out, at, text);
  for (let i = 0; i < length; i++) {
    const code = text.charCodeAt(i);
    if (code > 0x7f) return writeLongText(out, at, text);
    out[at + 1 + i] = code;
  }
  out[at] = 2 * length;
  return at + 1 + length;
}

function writeLongText(out: Buffer, at: number, text: string): number {
  const length = Buffer.byteLength(text);
  const start = writeVarint(out, at, length);
  return start + out.write(text, start, length);
}

/** Zigzag, as all varints in records are. By arithmetic: differences in time may have more than 32 bits. */
function writeVarint(out: Buffer, at: number, value: number): number {
  let rest = value >= 0 ? 2 * value : -2 * value - 1;
  let next = at;
  while (rest > 0x7f) {
    out[next++] = (rest % 128) | 0x80;
    rest = Math.floor(rest / 128);
  }
  out[next++] = rest;
  return next;
}

/** When it happened, so that the broker finds by that time; whatever has no time happens now. */
function timesOf(messages: readonly OutgoingMessage[], now: number): number[] {
  let text: string | undefined;
  let time = now;
  return messages.map(({ attributes }) => {
    // Many happen at once: what was written in one transaction.
    if (attributes.time !== text) {
      text = attributes.time;
      const parsed = text === undefined ? Number.NaN : Date.parse(text);
      time = Number.isNaN(parsed) ? now : parsed;
    }
    return time;
  });
}

/** Binary mode: the type of the content has a place of its own. */
function headerName(attribute: string): Buffer {
  let bytes = headerNames.get(attribute);
  if (!bytes) {
    bytes = written(attribute === "datacontenttype" ? "content-type" : `ce_${attribute}`);
    if (headerNames.size < 100) headerNames.set(attribute, bytes);
  }
  return bytes;
}

function written(text: string): Buffer {
  const bytes = Buffer.alloc(longestVarint + 3 * text.length);
  return bytes.subarray(0, writeText(bytes, 0, text));
}
