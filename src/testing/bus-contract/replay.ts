import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { type BusBench, listener, told, writeDown } from "./bench.ts";

export function describeReplay(bench: BusBench): void {
  describe("replays", () => {
    async function heardThrice() {
      const running = bench.process([listener()]);
      const positions: number[] = [];
      for (const subject of ["a", "b", "c"]) {
        positions.push(await bench.write("teller", [told(subject)]));
        await sleep(5); // so that no two are of the same time
      }
      await bench.write("crier", [told("x")]);
      const heard = async () => (await bench.heard()).sort();
      await expect.poll(heard).toEqual(["a", "b", "c", "x"]);
      await bench.pool.query("truncate heard");
      return { ...running, positions };
    }

    it("from a position", async () => {
      const { bus, positions } = await heardThrice();
      expect(await bus.replay("listener", { position: positions[1]!, topic: "teller" })).toBe(1);
      await bench.untilHeard(["b", "c"]);
    });

    it("from a time, each topic from its own place", async () => {
      const { bus, positions } = await heardThrice();
      const at = "select at from teller.log where position = $1";
      const { rows } = await bench.pool.query(at, [positions[2]]);
      expect(await bus.replay("listener", { time: rows[0].at })).toBe(2);
      // Of two topics either one may come first.
      const heard = async () => (await bench.heard()).sort();
      await expect.poll(heard).toEqual(["c", "x"]);
    });

    it("nothing from a time to come, and forwards too", async () => {
      const { bus } = await heardThrice();
      expect(await bus.replay("listener", { time: new Date(Date.now() + 3_600_000) })).toBe(2);
      await bench.write("teller", [told("d")]);
      await bench.untilHeard(["d"]);
    });

    it("and in effect nothing happens twice", async () => {
      await bench.pool.query("create table once (subject text primary key, times int not null)");
      const idempotent = listener({
        async handle(tx, events) {
          const text = `insert into once select *, 1 from unnest($1::text[])
                        on conflict (subject) do update set times = once.times`;
          tx.write({ name: "once", text }, [events.map(({ subject }) => subject)]);
          writeDown(tx, "listener", events);
          return undefined;
        },
      });
      const { bus } = bench.process([idempotent]);
      await bench.write("teller", [told("a"), told("b")]);
      await bench.untilHeard(["a", "b"]);
      await bus.replay("listener", { position: 0 });
      await bench.untilHeard(["a", "b", "a", "b"]);
      const { rows } = await bench.pool.query("select subject, times from once order by subject");
      expect(rows).toEqual([
        { subject: "a", times: 1 },
        { subject: "b", times: 1 },
      ]);
    });

    it("at the word of a process that does not run the group; a group that nobody knows has no cursors", async () => {
      const { positions } = await heardThrice();
      const { bus } = bench.process([]);
      expect(await bus.replay("listener", { position: positions[2]!, topic: "teller" })).toBe(1);
      await bench.untilHeard(["c"]);
      expect(await bus.replay("nobody", { position: 0 })).toBe(0);
    });
  });
}
