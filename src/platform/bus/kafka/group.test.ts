import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterEach, expect, it } from "vitest";
import { describeKafka, useKafka } from "../../../testing/brokers.ts";
import { KafkaBench, Listener, newName, numbered, until, upTo } from "../../../testing/kafka.ts";

const program = fileURLToPath(new URL("../../../testing/kafka-process.ts", import.meta.url));

describeKafka("processes that share a group", () => {
  const kafka = useKafka();
  const bench = new KafkaBench(() => kafka.brokers);
  const children: ChildProcess[] = [];

  afterEach(async () => {
    for (const child of children.splice(0)) await killed(child);
  });

  it("share the partitions, and none of them is with two", async () => {
    const [broker, topic] = await bench.brokerWithTopic({ partitions: 6 });
    const group = newName();
    const owners = new Map<number, string>();
    const conflicts: number[] = [];
    const listenerOf = (name: string) => {
      const listener: Listener = new Listener(bench.broker(), topic, {
        group,
        begin: async (_, partition) => {
          if (owners.has(partition)) conflicts.push(partition);
          owners.set(partition, name);
          return undefined;
        },
        end: (_, partition) => {
          owners.delete(partition);
        },
      });
      return listener;
    };
    const shares = () => {
      const names = [...owners.values()];
      return [...new Set(names)].sort().map((name) => names.filter((one) => one === name).length);
    };

    const first = listenerOf("a");
    await until(() => owners.size === 6);
    listenerOf("b");
    await until(() => owners.size === 6 && shares().join() === "3,3");
    listenerOf("c");
    await until(() => owners.size === 6 && shares().join() === "2,2,2");
    await first.follower.close();
    await until(() => owners.size === 6 && shares().join() === "3,3");
    expect(conflicts).toEqual([]);
    await until(() => broker.state().isUp);
  });

  it("leave alone what stays where it is", async () => {
    const [broker, topic] = await bench.brokerWithTopic({ partitions: 6 });
    const group = newName();
    const begun: number[] = [];
    const ended: number[] = [];
    const first = new Listener(broker, topic, {
      group,
      begin: async (_, partition) => {
        begun.push(partition);
        return undefined;
      },
      end: (_, partition) => {
        ended.push(partition);
      },
    });
    await until(() => begun.length === 6);
    const second = new Listener(bench.broker(), topic, { group });
    await until(() => second.owned.size === 3);
    expect(ended).toHaveLength(3);
    await broker.publish(topic, numbered(0, 700));
    await until(() => first.heard.length + second.heard.length === 700);
    expect(begun).toHaveLength(6);
  });

  it("take over from one that was killed, and everything arrives", async () => {
    const [broker, topic] = await bench.brokerWithTopic({ partitions: 4 });
    const group = newName();
    const child = spawn(process.execPath, ["--import", "tsx", program, kafka.brokers, topic, group], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    children.push(child);
    let share: number[] = [];
    createInterface({ input: child.stdout }).on("line", (line) => {
      share = JSON.parse(line);
    });
    await until(() => share.length === 4);
    const listener = new Listener(broker, topic, { group });
    await until(() => listener.owned.size === 2);
    await broker.publish(topic, numbered(0, 100));
    await killed(child);
    await until(() => listener.owned.size === 4);
    await listener.untilHas(upTo(100));
  });

  it("follow a topic that is made after they have begun", async () => {
    const topic = newName();
    const broker = bench.broker();
    const listener = new Listener(broker, topic);
    await until(() => broker.state().isUp);
    await bench.broker().createTopics([topic]);
    await broker.publish(topic, numbered(0, 7));
    await listener.untilHas(upTo(7));
  });
});

async function killed(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill("SIGKILL");
  await once(child, "exit");
}
