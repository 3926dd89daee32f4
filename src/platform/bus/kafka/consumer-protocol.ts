import { Reader, Writer } from "@platformatic/kafka";
import type { Member, TopicPartition } from "./assignment.ts";

// What members tell each other through the group's coordinator, in the form of Kafka's own consumers, so that tools
// which look at groups can read it.

export function encodeSubscription(
  topics: readonly string[],
  owned: readonly TopicPartition[],
  generation: number,
): Buffer {
  const writer = Writer.create()
    .appendInt16(2)
    .appendArray([...topics], (w, topic) => w.appendString(topic, false), false, false)
    .appendBytes(null, false);
  return appendPartitions(writer, owned).appendInt32(generation).buffer;
}

export function decodeSubscription(id: string, bytes: Buffer): Member {
  const reader = Reader.from(bytes);
  const version = reader.readInt16();
  const topics = reader.readArray((r) => r.readString(false), false, false);
  reader.readNullableBytes(false);
  const owned = version >= 1 ? readPartitions(reader) : [];
  const generation = version >= 2 ? reader.readInt32() : -1;
  return { id, topics, owned, generation };
}

export function encodeAssignment(given: readonly TopicPartition[]): Buffer {
  return appendPartitions(Writer.create().appendInt16(1), given).appendBytes(null, false).buffer;
}

/** Empty for a member that was given nothing. */
export function decodeAssignment(bytes: Buffer): TopicPartition[] {
  if (bytes.length === 0) return [];
  const reader = Reader.from(bytes);
  reader.readInt16();
  return readPartitions(reader);
}

function appendPartitions(writer: Writer, all: readonly TopicPartition[]): Writer {
  const topics = [...new Set(all.map(({ topic }) => topic))];
  return writer.appendArray(
    topics,
    (w, topic) => {
      const some = all.filter((one) => one.topic === topic).map(({ partition }) => partition);
      w.appendString(topic, false).appendArray(
        some,
        (v, partition) => v.appendInt32(partition),
        false,
        false,
      );
    },
    false,
    false,
  );
}

function readPartitions(reader: Reader): TopicPartition[] {
  const topics = reader.readArray(
    (r) => {
      const topic = r.readString(false);
      const partitions = r.readArray((p) => p.readInt32(), false, false);
      return partitions.map((partition) => ({ topic, partition }));
    },
    false,
    false,
  );
  return topics.flat();
}
