import { describe, expect, it } from "vitest";
import type { BusAbilities } from "../../platform/bus/port.ts";
import { type BusBench, gate, listener, numbers, told, writeDown } from "./bench.ts";

export function describeOnce(bench: BusBench, abilities: BusAbilities): void {
  describe("handles once", () => {
    it("what two processes compete for", async () => {
      const subjects = numbers(300);
      const [one, other] = [bench.process([listener()]), bench.process([listener()])];
      const writes = subjects.map(
        (subject, i) => () => bench.write("teller", [told(subject)], [one, other][i % 2]!.pool),
      );
      for (const write of writes) await write();
      await bench.untilHeard(subjects);
      for (const { bus } of [one, other]) await bench.untilReached(bus, "teller", 0);
    });

    it("what one process had begun when its connections were cut, and another one takes over", async () => {
      const [begun, never] = [gate(), gate()];
      let pid = 0;
      const dying = bench.process([
        listener({
          async handle(tx, events) {
            writeDown(tx, "listener", events);
            const backend = { name: "", text: "select pg_backend_pid() as pid" };
            pid = (await tx.read<{ pid: number }>(backend))[0]!.pid;
            begun.open();
            await never.opened;
            return undefined;
          },
        }),
      ]);
      await bench.write("teller", [told("a"), told("b")]);
      await begun.opened;
      const heir = bench.process([listener()]);
      // What it has locked is its own until it is gone.
      const terminate = "select pg_terminate_backend(pid) from pg_stat_activity where pid = $1";
      await expect.poll(async () => (await bench.pool.query(terminate, [pid])).rows).toEqual([]);
      await bench.write("teller", [told("c")], heir.pool);
      // Who was given partitions of its own keeps them for as long as it lives.
      if (abilities.orders === "key") never.open();
      await bench.untilHeard(["a", "b", "c"]);
      never.open();
      await dying.end();
      expect(bench.asOrdered(await bench.heard())).toEqual(["a", "b", "c"]);
    });

    it("and begins where the one before it has ended", async () => {
      const first = bench.process([listener()]);
      await bench.untilReached(first.bus, "teller", await bench.write("teller", [told("a")]));
      await first.end();
      const last = await bench.write("teller", [told("b")], bench.pool);
      expect(await bench.heard()).toEqual(["a"]);
      const second = bench.process([listener()]);
      await bench.untilReached(second.bus, "teller", last);
      expect(await bench.heard()).toEqual(["a", "b"]);
    });

    it("and finishes what is under way when it is told to stop", async () => {
      const [underWay, permission] = [gate(), gate()];
      const { end } = bench.process([
        listener({
          async handle(tx, events) {
            underWay.open();
            await permission.opened;
            writeDown(tx, "listener", events);
            return undefined;
          },
        }),
      ]);
      await bench.write("teller", [told("a")]);
      await underWay.opened;
      const ended = end();
      permission.open();
      await ended;
      expect(await bench.heard()).toEqual(["a"]);
    });

    it("and tells of it once it is durable", async () => {
      const durable: string[][] = [];
      const heard = gate();
      const { bus } = bench.process([
        listener({
          async handle(tx, events) {
            writeDown(tx, "listener", events);
            return () =>
              void bench.heard().then((subjects) => {
                durable.push(subjects);
                heard.open();
              });
          },
        }),
      ]);
      await bench.untilReached(bus, "teller", await bench.write("teller", [told("a")]));
      await heard.opened;
      expect(durable).toEqual([["a"]]);
    });
  });
}
