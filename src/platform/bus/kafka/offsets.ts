import { listOffsetsV7 } from "@platformatic/kafka";
import { fetchRecords } from "./apis.ts";
import { byLeader, type Cluster } from "./cluster.ts";
import { codes } from "./errors.ts";
import { decodeBatches, type StoredRecord } from "./record-reader.ts";

/** What ListOffsets is asked for beside a time. */
export const oldest = -2;
export const newest = -1;

/** The first offset at or after the time, by partition; undefined where there is none. */
export async function offsetsOf(
  cluster: Cluster,
  topic: string,
  time: number,
): Promise<(number | undefined)[]> {
  const leaders = await cluster.leaders(topic);
  const partitions = leaders.map((_, partition) => ({ partition }));
  const offsets: (number | undefined)[] = [];
  await Promise.all(
    [...byLeader(partitions, leaders)].map(async ([leader, some]) => {
      const indexes = some.map(({ partition }) => partition);
      for (const [partition, offset] of await listOffsets(cluster, leader, topic, indexes, time)) {
        offsets[partition] = offset < 0 ? undefined : offset;
      }
    }),
  );
  return offsets;
}

export async function offsetOf(cluster: Cluster, topic: string, partition: number, time: number) {
  const leader = await cluster.leader(topic, partition);
  const [[, offset]] = (await listOffsets(cluster, leader, topic, [partition], time)) as [[number, number]];
  return offset;
}

async function listOffsets(
  cluster: Cluster,
  leader: number,
  topic: string,
  partitions: readonly number[],
  time: number,
): Promise<[partition: number, offset: number][]> {
  const wanted = partitions.map((partitionIndex) => ({
    partitionIndex,
    currentLeaderEpoch: -1,
    timestamp: BigInt(time),
  }));
  try {
    const answer = await cluster.request(leader, listOffsetsV7.api, -1, 0, [
      { name: topic, partitions: wanted },
    ]);
    return answer.topics[0]!.partitions.map(({ partitionIndex, offset }) => [partitionIndex, Number(offset)]);
  } catch (error) {
    cluster.forget(topic);
    throw error;
  }
}

/** What is there, or what comes next of what is still there; undefined behind the end. */
export async function recordAt(
  cluster: Cluster,
  topic: string,
  partition: number,
  offset: number,
): Promise<StoredRecord | undefined> {
  const leader = await cluster.leader(topic, partition);
  for (let at = offset; ; ) {
    const wanted = fetchOf(topic, partition, at);
    const [found] = await cluster.request(leader, fetchRecords, 0, 0, 2 ** 20, 0, 0, 0, [wanted], [], "");
    if (!found) return undefined;
    if (found.errorCode === codes.offsetOutOfRange) {
      const first = await offsetOf(cluster, topic, partition, oldest);
      if (at >= first) return undefined;
      at = first;
      continue;
    }
    if (found.errorCode !== 0) {
      cluster.forget(topic);
      throw new Error(`Partition ${partition} of ${topic} answers with error ${found.errorCode}.`);
    }
    const { records, next } = decodeBatches(found.bytes, at);
    if (records.length > 0) return records[0];
    if (next === at) return undefined;
    at = next; // there was nothing but the marks of transactions
  }
}

const setByBroker = 0b1000;

/** When the batch was written in which this offset is: by its writer's clock, or the broker's if the topic wants that. */
export async function timeAt(
  cluster: Cluster,
  topic: string,
  partition: number,
  offset: number,
): Promise<Date | undefined> {
  const leader = await cluster.leader(topic, partition);
  const wanted = fetchOf(topic, partition, offset);
  const [found] = await cluster.request(leader, fetchRecords, 0, 0, 2 ** 20, 0, 0, 0, [wanted], [], "");
  if (found?.errorCode !== 0 || found.bytes.length < 61) return undefined;
  const { bytes } = found;
  const time = Number(bytes.readBigInt64BE(bytes.readInt16BE(21) & setByBroker ? 35 : 27));
  return time < 0 ? undefined : new Date(time);
}

/** The smallest fetch brings one batch. */
function fetchOf(topic: string, partition: number, offset: number) {
  return {
    topicId: topic,
    partitions: [
      {
        partition,
        currentLeaderEpoch: -1,
        fetchOffset: BigInt(offset),
        lastFetchedEpoch: -1,
        partitionMaxBytes: 1,
      },
    ],
  };
}
