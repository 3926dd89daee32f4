export interface TopicPartition {
  readonly topic: string;
  readonly partition: number;
}

export interface Member {
  readonly id: string;
  readonly topics: readonly string[];
  /** What it has now. */
  readonly owned: readonly TopicPartition[];
  /** The generation of the group in which it was given that; an older claim gives way. */
  readonly generation: number;
}

/**
 * Who has which partition from now on: as evenly as can be, each topic by itself and all of them together, and apart
 * from that as it was. A partition that is to change hands goes to nobody in this round: its owner lets go of it and
 * joins again, and the round after that gives it to the other one. So nobody works on what somebody else still has.
 */
export function assign(
  members: readonly Member[],
  partitions: ReadonlyMap<string, number>,
): Map<string, TopicPartition[]> {
  const plan = new Plan([...members].sort((a, b) => (a.id < b.id ? -1 : 1)));
  const owners = ownersOf(members, partitions);
  const topics = [...partitions.keys()].sort();
  const free: TopicPartition[] = [];
  for (const topic of topics) {
    for (let partition = 0; partition < partitions.get(topic)!; partition++) {
      const owner = owners.get(`${topic}/${partition}`);
      if (owner === undefined) free.push({ topic, partition });
      else plan.give(owner, { topic, partition });
    }
  }
  for (const partition of free) plan.giveToIdlest(partition);
  for (const topic of topics) plan.evenOut(topic);
  plan.evenOutAll(topics);
  return plan.without((id, { topic, partition }) => {
    const owner = owners.get(`${topic}/${partition}`);
    return owner !== undefined && owner !== id;
  });
}

/** Two that claim the same in the same generation are both wrong. */
function ownersOf(members: readonly Member[], partitions: ReadonlyMap<string, number>): Map<string, string> {
  const claims = new Map<string, { id: string | undefined; generation: number }>();
  for (const { id, topics, owned, generation } of members) {
    for (const { topic, partition } of owned) {
      if (!topics.includes(topic) || partition >= (partitions.get(topic) ?? 0)) continue;
      const key = `${topic}/${partition}`;
      const claim = claims.get(key);
      if (claim && claim.generation > generation) continue;
      claims.set(key, { id: claim?.generation === generation ? undefined : id, generation });
    }
  }
  const owners = new Map<string, string>();
  for (const [key, { id }] of claims) if (id !== undefined) owners.set(key, id);
  return owners;
}

class Plan {
  private readonly members: readonly Member[];
  private readonly given = new Map<string, TopicPartition[]>();

  constructor(members: readonly Member[]) {
    this.members = members;
    for (const { id } of members) this.given.set(id, []);
  }

  give(id: string, partition: TopicPartition): void {
    this.given.get(id)!.push(partition);
  }

  /** Who has the fewest of the topic, and of all topics when that is even. */
  giveToIdlest(partition: TopicPartition): void {
    const id = this.byLoad(partition.topic)[0];
    if (id !== undefined) this.give(id, partition);
  }

  evenOut(topic: string): void {
    for (;;) {
      const ids = this.byLoad(topic);
      const [idlest, busiest] = [ids[0], ids.at(-1)];
      if (idlest === undefined || this.load(busiest!, topic) - this.load(idlest, topic) < 2) return;
      this.move(topic, busiest!, idlest);
    }
  }

  /** Many topics with few partitions are even one by one, and all with the same member. */
  evenOutAll(topics: readonly string[]): void {
    while (topics.some((topic) => this.evenOutOne(topic))) {}
  }

  without(isHeld: (id: string, partition: TopicPartition) => boolean): Map<string, TopicPartition[]> {
    return new Map([...this.given].map(([id, some]) => [id, some.filter((one) => !isHeld(id, one))]));
  }

  private evenOutOne(topic: string): boolean {
    const ids = this.byLoad(topic);
    for (const busy of ids.toReversed()) {
      const idle = ids.find(
        (id) => this.load(busy) - this.load(id) >= 2 && this.load(busy, topic) > this.load(id, topic),
      );
      if (idle === undefined) continue;
      this.move(topic, busy, idle);
      return true;
    }
    return false;
  }

  private byLoad(topic: string): string[] {
    const ids = this.members.filter(({ topics }) => topics.includes(topic)).map(({ id }) => id);
    return ids.sort((a, b) => this.load(a, topic) - this.load(b, topic) || this.load(a) - this.load(b));
  }

  private load(id: string, topic?: string): number {
    const given = this.given.get(id)!;
    return topic === undefined ? given.length : given.filter((one) => one.topic === topic).length;
  }

  private move(topic: string, from: string, to: string): void {
    const given = this.given.get(from)!;
    const index = given.findLastIndex((one) => one.topic === topic);
    this.give(to, given.splice(index, 1)[0]!);
  }
}
