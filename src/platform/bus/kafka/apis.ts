import { createAPI, fetchV12, produceV9, type Reader, ResponseError, Writer } from "@platformatic/kafka";
import type { AbortedTransaction } from "./record-reader.ts";
import type { EncodedBatch } from "./record-writer.ts";

/** Batches by partition, of one topic. */
export type ProduceBatches = readonly { readonly partition: number; readonly batch: EncodedBatch }[];

export type ProduceRequest = readonly { readonly topic: string; readonly batches: ProduceBatches }[];

export type ProduceResponse = ReturnType<typeof produceV9.parseResponse>;

/** Takes batches that are encoded already, and leaves errors of single partitions to whom they concern. */
export const produce = createAPI<[timeoutMs: number, topics: ProduceRequest], ProduceResponse>(
  0,
  9,
  (timeoutMs: number, topics: ProduceRequest) =>
    Writer.create()
      .appendString(null) // no transaction
      .appendInt16(-1) // from all replicas that are in sync
      .appendInt32(timeoutMs)
      .appendArray([...topics], (writer, { topic, batches }) => {
        writer.appendString(topic).appendArray([...batches], (partitions, { partition, batch }) => {
          partitions.appendInt32(partition).appendBytes(batch.bytes);
        });
      })
      .appendTaggedFields(),
  (...answer) => {
    try {
      return produceV9.parseResponse(...answer);
    } catch (error) {
      if (error instanceof ResponseError) return error.response as ProduceResponse;
      throw error;
    }
  },
);

export interface FetchedPartition {
  readonly topic: string;
  readonly partition: number;
  readonly errorCode: number;
  readonly aborted: readonly AbortedTransaction[];
  readonly bytes: Buffer;
}

/** Leaves the records encoded, and errors of single partitions to whom they concern. */
export const fetchRecords = createAPI<Parameters<typeof fetchV12.createRequest>, FetchedPartition[]>(
  1,
  12,
  fetchV12.createRequest,
  (_correlationId, apiKey, apiVersion, reader) => {
    reader.skip(4);
    const errorCode = reader.readInt16();
    if (errorCode !== 0) throw new ResponseError(apiKey, apiVersion, { "/": [errorCode, null] }, undefined);
    reader.skip(4);
    return reader.readArray(readTopic).flat();
  },
);

function readTopic(reader: Reader): FetchedPartition[] {
  const topic = reader.readString();
  return reader.readArray((r) => readPartition(r, topic), true, false);
}

function readPartition(reader: Reader, topic: string): FetchedPartition {
  const partition = reader.readInt32();
  const errorCode = reader.readInt16();
  reader.skip(24); // the end of the log, of what is decided of its transactions, and its start
  const aborted = reader.readArray((r) => ({ producerId: r.readInt64(), firstOffset: r.readInt64() }));
  reader.skip(4); // a replica that would be nearer
  const bytes = reader.readNullableBytes() ?? Buffer.alloc(0);
  skipTaggedFields(reader);
  return { topic, partition, errorCode, aborted, bytes };
}

/** A broker that no longer leads the partition names the new leader there. The client's own reader expects none. */
function skipTaggedFields(reader: Reader): void {
  for (let count = reader.readUnsignedVarInt(); count > 0; count--) {
    reader.readUnsignedVarInt();
    reader.skip(reader.readUnsignedVarInt());
  }
}
