import { describe, expect, it } from "vitest";
import { type BusBench, gate, listener, numbers, stumbling, told } from "./bench.ts";

export function describeAccount(bench: BusBench): void {
  describe("tells", () => {
    it("how far each group has come and how much is before it", async () => {
      const [underWay, permission] = [gate(), gate()];
      const last = await bench.write("teller", [told("a")]);
      const { bus } = bench.process([
        listener({
          async handle() {
            underWay.open();
            await permission.opened;
            return undefined;
          },
        }),
      ]);
      await underWay.opened;
      await bench.write("crier", [told("b")]);
      // The cursors' rows are made in the transaction that handles the first batch.
      permission.open();
      await bench.untilReached(bus, "teller", last);
      const state = { group: "listener", lag: 0, lag_seconds: 0, retrying: 0, dead: 0 };
      await expect
        .poll(async () => (await bus.consumers()).filter(({ group }) => group === "listener"))
        .toMatchObject([
          { ...state, topic: "crier" },
          { ...state, topic: "teller", position: last },
        ]);
    });

    it("what it does not reach in time", async () => {
      const { bus } = bench.process([stumbling(() => true)], []);
      const never = (await bench.write("teller", [told("a")])) + 1_000;
      expect(await bus.reached("teller", never, 50)).toBe(false);
      expect(await bus.reached("nobody", never, 50)).toBe(true);
    });

    it("what another process has handled", async () => {
      const [holds, waits] = [bench.process([listener()]), bench.process([listener()])];
      const last = await bench.write("teller", [told("a")], holds.pool);
      await bench.untilReached(waits.bus, "teller", last);
      await bench.untilReached(holds.bus, "teller", last);
      expect(await bench.heard()).toEqual(["a"]);
    });

    it("its dead letters in pages, of one group and of one status", async () => {
      const { bus } = bench.process([stumbling(() => true), stumbling(() => true, { group: "scribe" })], []);
      await bench.write(
        "teller",
        numbers(3).map((subject) => told(subject)),
      );
      await bench.untilLetters(
        bus,
        numbers(6).map(() => ({ status: "dead" })),
      );
      const first = await bus.deadLetters({}, undefined, 4);
      const second = await bus.deadLetters({}, first.next!, 4);
      expect([first.items.length, second.items.length, second.next]).toEqual([4, 2, null]);
      const told3 = [...first.items, ...second.items].map(({ group, event }) => `${group} ${event?.subject}`);
      expect(bench.asOrdered(told3)).toEqual(
        ["listener", "scribe"].flatMap((group) => numbers(3).map((subject) => `${group} ${subject}`)),
      );
      const ofOne = await bus.deadLetters({ group: "scribe", status: "dead" }, undefined, 10);
      expect(ofOne.items.map(({ group }) => group)).toEqual(["scribe", "scribe", "scribe"]);
      expect((await bus.deadLetters({ status: "waiting" }, undefined, 10)).items).toEqual([]);
      expect((await bus.deadLetters({ group: "nobody" }, undefined, 10)).items).toEqual([]);
    });

    it("a command that was set aside, which it does not try again but can discard", async () => {
      const { bus } = bench.process([listener()]);
      await bench.pool.query(
        `insert into listener.dead_letters (command, error) values ('{"type": "Tell"}', 'a defect')`,
      );
      const [letter] = await bench.untilLetters(bus, [
        { status: "dead", command: { type: "Tell" }, event: null, error: "a defect" },
      ]);
      expect(await bus.retry(letter!.id)).toBe("is_command");
      expect(await bus.discard(letter!.id)).toBe(true);
      await bench.untilLetters(bus, []);
      for (const id of [letter!.id, "nobody:1", "listener", "listener:1:2", ""]) {
        expect([await bus.retry(id), await bus.discard(id)]).toEqual(["not_found", false]);
      }
    });
  });
}
