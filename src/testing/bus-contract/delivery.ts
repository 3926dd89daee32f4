import { describe, expect, it } from "vitest";
import { transact } from "../../platform/batch/transaction.ts";
import type { BusEvent } from "../../platform/bus/port.ts";
import { logWriter } from "../../platform/log/append.ts";
import { type BusBench, gate, listener, numbers, told, writeDown } from "./bench.ts";

export function describeDelivery(bench: BusBench): void {
  describe("delivers", () => {
    it("what was written before it started and what is written from then on, with all that belongs to it", async () => {
      const events: BusEvent[] = [];
      const first = await bench.write("teller", [{ ...told("a", { n: 1 }), traceparent: "00-a-b-01" }]);
      bench.process([
        listener({
          async handle(tx, batch) {
            writeDown(tx, "listener", batch);
            events.push(...batch);
            return undefined;
          },
        }),
      ]);
      await bench.untilHeard(["a"]);
      const second = await bench.write("teller", [{ ...told("b", { order_id: "o1" }), cause: "x-1-0" }]);
      await bench.untilHeard(["a", "b"]);
      expect(events).toEqual([
        {
          id: `teller-${first}-0`,
          topic: "teller",
          type: "Told",
          subject: "a",
          key: "a",
          at: expect.any(Date),
          data: { n: 1 },
          traceparent: "00-a-b-01",
        },
        {
          id: `teller-${second}-0`,
          topic: "teller",
          type: "Told",
          subject: "b",
          key: "o1",
          at: expect.any(Date),
          data: { order_id: "o1" },
          cause: "x-1-0",
        },
      ]);
    });

    it("to a group only the types that it has subscribed", async () => {
      const { bus } = bench.process([listener()]);
      const mixed = [
        told("a"),
        told("b", {}, "Shouted"),
        told("c", {}, "Whispered"),
        told("d", {}, "Shouted"),
      ];
      await bench.write("teller", mixed);
      const last = await bench.write("crier", [told("e", {}, "Whispered")]);
      await bench.untilReached(bus, "crier", last);
      await bench.untilHeard(["a", "c"]);
    });

    it("only what concerns the group, and beyond what does not the rest of it", async () => {
      const concerns = ({ data }: BusEvent) => "order_id" in data;
      const first = bench.process([listener({ concerns })]);
      for (const n of [0, 1, 2, 3]) {
        await bench.write("teller", [
          told(`foreign-${n}`),
          told(`ours-${n}`, { order_id: "o" }),
          told("more"),
        ]);
        await bench.write("teller", [told("nobody's")]);
      }
      const ours = ["ours-0", "ours-1", "ours-2", "ours-3"];
      await bench.untilHeard(ours);
      const last = await bench.write("teller", [told("nobody's"), told("nobody's")]);
      await bench.untilReached(first.bus, "teller", last);
      await first.end();
      const second = bench.process([listener({ concerns })]);
      await bench.write("teller", [told("ours-4", { order_id: "o" })], second.pool);
      await bench.untilHeard([...ours, "ours-4"]);
    });

    it("to each group everything, whatever the others do", async () => {
      bench.process([listener(), listener({ group: "scribe", topics: { teller: ["Told"] } })]);
      await bench.write("teller", [told("a"), told("b")]);
      await bench.untilHeard(["a", "b"]);
      await bench.untilHeard(["a", "b"], "scribe");
    });

    it("in the order of each topic, in batches, beginning in the middle of what was written at once", async () => {
      const subjects = numbers(2_500);
      await bench.write(
        "teller",
        subjects.map((subject) => told(subject)),
      );
      const allHaveCome = gate();
      bench.process([
        listener({
          async handle(tx, events) {
            await allHaveCome.opened;
            writeDown(tx, "listener", events);
            return undefined;
          },
        }),
        listener({ group: "scribe" }),
      ]);
      await bench.untilHeard(subjects, "scribe");
      allHaveCome.open();
      await bench.untilHeard(subjects);
      const { rows } = await bench.pool.query(
        "select max(batch) as largest from heard where by = 'listener'",
      );
      expect(rows[0].largest).toBeGreaterThan(100);
      expect(rows[0].largest).toBeLessThan(2_500);
    });

    it("in the order of each key, from both topics, while many keys come at once", async () => {
      const keys = numbers(40, "key-");
      const heard = new Map<string, string[]>();
      bench.process([
        listener({
          async handle(tx, events) {
            writeDown(tx, "listener", events);
            for (const { topic, key, subject } of events) {
              const name = `${topic} ${key}`;
              heard.set(name, [...(heard.get(name) ?? []), subject]);
            }
            return undefined;
          },
        }),
      ]);
      const rounds = numbers(20);
      for (const round of rounds) {
        const events = keys.map((order_id) => told(round, { order_id }));
        await Promise.all([bench.write("teller", events), bench.write("crier", events)]);
      }
      const all = 2 * keys.length * rounds.length;
      await expect.poll(() => bench.heard()).toHaveLength(all);
      expect([...heard.values()]).toEqual(Array.from({ length: 2 * keys.length }, () => rounds));
    });

    it("a quiet topic although another one is far ahead", async () => {
      await bench.write(
        "teller",
        numbers(5_000).map((subject) => told(subject)),
      );
      await bench.write("crier", [told("quiet")]);
      const first = gate();
      bench.process([
        listener({
          async handle(tx, events) {
            writeDown(
              tx,
              "listener",
              events.filter(({ topic }) => topic === "crier"),
            );
            first.open();
            return undefined;
          },
        }),
      ]);
      await first.opened;
      await bench.untilHeard(["quiet"]);
    });

    it("what was committed late, in its place", async () => {
      const { pool } = bench.process([listener()]);
      const log = logWriter("teller");
      await transact(pool, async (tx) => {
        const mark = await log.mark(tx);
        await bench.write("teller", [told("late")]);
        // Once this one is heard, the bus has looked at the other topic as well.
        await bench.write("crier", [told("beside")]);
        await bench.untilHeard(["beside"]);
        log.append(tx, mark, [told("early")]);
      });
      await bench.untilHeard(["beside", "early", "late"]);
    });

    it("what stands behind a transaction that came to nothing", async () => {
      const { pool } = bench.process([listener()]);
      const failed = transact(pool, async (tx) => {
        await logWriter("teller").mark(tx);
        await bench.write("teller", [told("behind")]);
        // Once this one is heard, the bus has looked at the other topic as well.
        await bench.write("crier", [told("beside")]);
        await bench.untilHeard(["beside"]);
        throw new Error("changed its mind");
      });
      await expect(failed).rejects.toThrow("changed its mind");
      await bench.untilHeard(["beside", "behind"]);
    });

    it("at once, whether it was written in this process or in another one", async () => {
      const [here, there] = [bench.process([listener()]), bench.process([])];
      await bench.write("teller", [told("warm")], here.pool);
      await bench.untilHeard(["warm"]);
      await bench.write("teller", [told("here")], here.pool);
      await bench.untilHeard(["warm", "here"]);
      await bench.write("teller", [told("there")], there.pool);
      await bench.untilHeard(["warm", "here", "there"]);
    });
  });
}
