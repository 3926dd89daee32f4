import { createTopicsV7, ResponseError } from "@platformatic/kafka";
import type { Cluster } from "./cluster.ts";
import { codes, codesOf } from "./errors.ts";

export interface TopicSettings {
  readonly partitions: number;
  readonly retentionMs: number;
}

/** Room for an event of as many lines as there may be; a broker takes 1 MiB unless it is told otherwise. */
const largestMessageBytes = 16 * 1024 * 1024;

/** Makes what is missing, and is done once each of them has leaders: until then the brokers do not know it all. */
export async function ensureTopics(
  cluster: Cluster,
  topics: readonly string[],
  settings: TopicSettings,
  timeoutMs: number,
): Promise<void> {
  const missing = missingIn(await cluster.look(topics));
  if (missing.length > 0) {
    await create(cluster, missing, settings, timeoutMs);
    await cluster.look(topics);
  }
  for (const topic of topics) {
    const leaders = await cluster.leaders(topic);
    if (leaders.length > 0 && leaders.every((leader) => leader >= 0)) continue;
    cluster.forget(topic);
    throw new Error(`Topic ${topic} has no leaders yet.`);
  }
}

function missingIn(metadata: Awaited<ReturnType<Cluster["look"]>>): string[] {
  const missing = metadata.topics.filter(({ errorCode }) => errorCode === codes.unknownTopicOrPartition);
  return missing.map(({ name }) => name!);
}

async function create(
  cluster: Cluster,
  topics: readonly string[],
  settings: TopicSettings,
  timeoutMs: number,
): Promise<void> {
  const wanted = topics.map((name) => ({
    name,
    numPartitions: settings.partitions,
    replicationFactor: -1, // the broker's default
    assignments: [],
    configs: [
      { name: "retention.ms", value: String(settings.retentionMs) },
      { name: "max.message.bytes", value: String(largestMessageBytes) },
    ],
  }));
  try {
    await cluster.requestController(createTopicsV7.api, wanted, timeoutMs, false);
  } catch (error) {
    // Somebody else makes them too.
    const isThere =
      error instanceof ResponseError && codesOf(error).every((code) => code === codes.topicExists);
    if (!isThere) throw error;
  }
}
