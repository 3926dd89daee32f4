import { type API, metadataV9, ResponseError } from "@platformatic/kafka";
import { type Address, type ConnectionSettings, Connections } from "./connections.ts";
import { reasonOf } from "./errors.ts";

type MetadataResponse = ReturnType<typeof metadataV9.parseResponse>;

/**
 * Who leads which partition, and the way to him. All requests keep to versions that brokers know since Kafka 3.0, so
 * there is nothing to negotiate.
 */
export class Cluster {
  private readonly settings: ConnectionSettings;
  private readonly connections: Connections;
  private readonly bootstrap: readonly Address[];
  private readonly nodes = new Map<number, Address>();
  /** The node that leads each partition, by topic. */
  private readonly topics = new Map<string, readonly number[]>();
  private controller = -1;

  constructor(settings: ConnectionSettings, brokers: readonly string[]) {
    this.settings = settings;
    this.connections = new Connections(settings);
    this.bootstrap = brokers.map(addressOf);
  }

  /** Also fetches what these topics look like; those that are known already are looked at again. */
  async look(topics: readonly string[]): Promise<MetadataResponse> {
    const wanted = [...new Set([...this.topics.keys(), ...topics])];
    const metadata = await this.requestAny(metadataV9.api, wanted, false, false).catch(answerAllTheSame);
    this.controller = metadata.controllerId;
    this.nodes.clear();
    for (const { nodeId, host, port } of metadata.brokers) this.nodes.set(nodeId, { host, port });
    for (const { name, errorCode, partitions } of metadata.topics) {
      if (errorCode !== 0) this.topics.delete(name!);
      else this.topics.set(name!, leadersOf(partitions));
    }
    return metadata;
  }

  /** One look for the health alone. */
  async check(): Promise<void> {
    try {
      await this.look([]);
    } catch (error) {
      this.settings.health.down(reasonOf(error));
    }
  }

  async leaders(topic: string): Promise<readonly number[]> {
    if (!this.topics.has(topic)) await this.look([topic]);
    const leaders = this.topics.get(topic);
    if (!leaders) throw new Error(`There is no topic ${topic}.`);
    return leaders;
  }

  async leader(topic: string, partition: number): Promise<number> {
    const node = (await this.leaders(topic))[partition];
    if (node === undefined) throw new Error(`Topic ${topic} has no partition ${partition}.`);
    return node;
  }

  /** They have moved, or a broker says so. */
  forget(topic: string): void {
    this.topics.delete(topic);
  }

  async address(node: number): Promise<Address> {
    if (!this.nodes.has(node)) await this.look([]);
    const address = this.nodes.get(node);
    if (!address) throw new Error(node < 0 ? "A partition has no leader." : `Broker ${node} is away.`);
    return address;
  }

  async request<A extends unknown[], R>(node: number, api: API<A, R>, ...args: A): Promise<R> {
    return this.connections.request(await this.address(node), api, ...args);
  }

  async requestController<A extends unknown[], R>(api: API<A, R>, ...args: A): Promise<R> {
    await this.look([]);
    return this.request(this.controller, api, ...args);
  }

  async requestAny<A extends unknown[], R>(api: API<A, R>, ...args: A): Promise<R> {
    let failure: unknown;
    for (const address of [...this.nodes.values(), ...this.bootstrap]) {
      try {
        return await this.connections.request(address, api, ...args);
      } catch (error) {
        if (error instanceof ResponseError) throw error;
        failure = error;
      }
    }
    throw failure;
  }

  /** For what takes longer than the others may have to wait. */
  connectionsFor(timeoutMs: number): Connections {
    return new Connections({ ...this.settings, timeoutMs });
  }

  close(): void {
    this.connections.close();
  }
}

/** What goes to the same node can go in one request. */
export function byLeader<T extends { readonly partition: number }>(
  items: readonly T[],
  leaders: readonly number[],
): Map<number, T[]> {
  const groups = new Map<number, T[]>();
  for (const item of items) {
    const leader = leaders[item.partition]!;
    const group = groups.get(leader);
    if (group) group.push(item);
    else groups.set(leader, [item]);
  }
  return groups;
}

function leadersOf(partitions: MetadataResponse["topics"][number]["partitions"]): number[] {
  const leaders: number[] = [];
  for (const { partitionIndex, leaderId } of partitions) leaders[partitionIndex] = leaderId;
  return leaders;
}

/** A topic that is missing, or has no leader yet, is part of the answer. */
function answerAllTheSame(error: unknown): MetadataResponse {
  if (error instanceof ResponseError) return error.response as MetadataResponse;
  throw error;
}

function addressOf(broker: string): Address {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d+)$/.exec(broker.trim());
  if (!match) throw new Error(`"${broker}" is no address of a broker: host:port is.`);
  return { host: (match[1] ?? match[2])!, port: Number(match[3]) };
}
