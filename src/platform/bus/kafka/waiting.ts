import type { Waiting } from "../broker/broker.ts";
import type { Cluster } from "./cluster.ts";
import { newest, offsetsOf, oldest, timeAt } from "./offsets.ts";

/** What of the topic lies behind what its group has committed. */
export async function waitingIn(
  cluster: Cluster,
  topic: string,
  committed: (partition: number) => Promise<number | undefined>,
): Promise<Waiting> {
  const firsts = await offsetsOf(cluster, topic, oldest);
  const done = await Promise.all(firsts.map((_, partition) => committed(partition)));
  // The ends last: asked for before, they could lie before what was committed meanwhile.
  const ends = await offsetsOf(cluster, topic, newest);
  const behind = ends.map((end, partition) => {
    const isThere = (done[partition] ?? end! + 1) <= end!;
    const from = Math.max(firsts[partition]!, isThere ? done[partition]! : 0);
    return { partition, from, count: end! - from };
  });
  const waiting = behind.filter(({ count }) => count > 0);
  const times = await Promise.all(
    waiting.map(({ partition, from }) => timeAt(cluster, topic, partition, from)),
  );
  return { count: waiting.reduce((sum, { count }) => sum + count, 0), since: earliest(times) };
}

/** Undefined when one is unknown, which may be the earliest. */
function earliest(times: readonly (Date | undefined)[]): Date | undefined {
  const first = Math.min(...times.map((time) => time?.getTime() ?? Number.NaN));
  return Number.isFinite(first) ? new Date(first) : undefined;
}
