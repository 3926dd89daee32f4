import { describe, expect, it } from "vitest";
import type { BusEvent } from "../../platform/bus/port.ts";
import { type BusBench, listener, numbers, stumbling, told, writeDown } from "./bench.ts";

export function describeFailures(bench: BusBench): void {
  describe("when a handler fails", () => {
    const isPoison = ({ data }: BusEvent) => "poison" in data;
    const poison = (subject: string, data: object = {}) => told(subject, { ...data, poison: true });

    it("sets the one event aside that is to blame, and handles the 499 others", async () => {
      const subjects = numbers(500);
      const events = subjects.map((subject, i) => (i === 321 ? poison(subject) : told(subject)));
      await bench.write("teller", events);
      const { bus } = bench.process([stumbling(isPoison)]);
      await bench.untilHeard(subjects.filter((subject) => subject !== "321"));
      const [letter] = await bench.untilLetters(bus, [{ group: "listener", status: "dead", attempts: 1 }]);
      expect(letter).toMatchObject({
        id: expect.stringMatching(/^listener:\d+$/),
        event: { subject: "321", key: "321", topic: "teller", at: expect.any(Date) },
        command: null,
        error: expect.stringContaining("stumbled over 321"),
        next_try_at: null,
      });
    });

    it("finds every one of several, first and last ones too", async () => {
      const isBad = (i: number) => i === 0 || i === 7 || i === 8 || i === 63 || i === 119;
      const subjects = numbers(120);
      const { bus } = bench.process([stumbling(isPoison)]);
      await bench.write(
        "teller",
        subjects.map((s, i) => (isBad(i) ? poison(s) : told(s))),
      );
      await bench.untilHeard(subjects.filter((_, i) => !isBad(i)));
      const letters = await bench.untilLetters(
        bus,
        subjects.filter((_, i) => isBad(i)).map(() => ({ status: "dead" })),
      );
      expect(bench.asOrdered(letters.map(({ event }) => event!.subject))).toEqual(
        bench.asOrdered(subjects.filter((_, i) => isBad(i))),
      );
    });

    it("blames nobody for what passes", async () => {
      let failures = 0;
      const { bus } = bench.process([
        listener({
          async handle(tx, events) {
            writeDown(tx, "listener", events);
            if (++failures < 6) throw Object.assign(new Error("deadlock"), { code: "40P01" });
            return undefined;
          },
        }),
      ]);
      await bench.write("teller", [told("a"), told("b")]);
      await bench.untilHeard(["a", "b"]);
      await bench.untilLetters(bus, []);
    });

    it("gives a batch that fails once another chance", async () => {
      let failures = 0;
      const { bus } = bench.process([stumbling(() => failures++ === 0)]);
      await bench.write("teller", [told("a"), told("b")]);
      await bench.untilHeard(["a", "b"]);
      await bench.untilLetters(bus, []);
    });

    it("tries again later what was set aside, until it succeeds", async () => {
      let isMended = false;
      const { bus } = bench.process(
        [stumbling((event) => !isMended && isPoison(event))],
        [1, 20, 40, 3_600_000],
      );
      await bench.write("teller", [poison("a"), told("b")]);
      await bench.untilHeard(["b"]);
      const [letter] = await bench.untilLetters(bus, [{ status: "retrying", attempts: 4 }]);
      expect(letter!.next_try_at!.getTime()).toBeGreaterThan(Date.now());
      isMended = true;
      expect(await bus.retry(letter!.id)).toBe("retrying");
      await bench.untilHeard(["b", "a"]);
      await bench.untilLetters(bus, []);
    });

    it("gives up after the last try, and tries once more when it is asked to", async () => {
      let isMended = false;
      const { bus } = bench.process([stumbling((event) => !isMended && isPoison(event))], [1, 1]);
      await bench.write("teller", [poison("a")]);
      const [dead] = await bench.untilLetters(bus, [{ status: "dead", attempts: 3, next_try_at: null }]);
      isMended = true;
      expect(await bus.retry(dead!.id)).toBe("retrying");
      await bench.untilHeard(["a"]);
      expect(await bus.retry(dead!.id)).toBe("not_found");
    });

    it("finds those that still fail among many that are due at once", async () => {
      let isMended = false;
      const { bus } = bench.process(
        [stumbling((event) => isPoison(event) && (!isMended || event.subject === "3"))],
        [],
      );
      await bench.write(
        "teller",
        numbers(6).map((subject) => poison(subject)),
      );
      const letters = await bench.untilLetters(
        bus,
        numbers(6).map(() => ({ status: "dead" })),
      );
      isMended = true;
      for (const { id } of letters) await bus.retry(id);
      await bench.untilLetters(bus, [{ status: "dead", event: expect.objectContaining({ subject: "3" }) }]);
      expect((await bench.heard()).sort()).toEqual(["0", "1", "2", "4", "5"]);
    });

    const story = () => [
      poison("1", { order_id: "o" }),
      told("2", { order_id: "o" }),
      told("other"),
      told("3", { order_id: "o" }),
    ];

    it("lets later events of the key wait, in order, and all others go on", async () => {
      let isMended = false;
      const { bus } = bench.process([stumbling((event) => !isMended && isPoison(event))], []);
      await bench.write("teller", story());
      await bench.untilHeard(["other"]);
      await bench.untilLetters(bus, [{ status: "dead" }, { status: "waiting" }, { status: "waiting" }]);
      await bench.write("crier", [told("4", { order_id: "o" })]);
      const letters = await bench.untilLetters(bus, [
        { status: "dead" },
        { status: "waiting", attempts: 0 },
        { status: "waiting" },
        { status: "waiting" },
      ]);
      expect(await bus.retry(letters[1]!.id)).toBe("is_waiting");
      isMended = true;
      await bus.retry(letters[0]!.id);
      await bench.untilHeard(["other", "1", "2", "3", "4"]);
      await bench.write("teller", [told("5", { order_id: "o" })]);
      await bench.untilHeard(["other", "1", "2", "3", "4", "5"]);
    });

    it("lets what waits go on when the event before it is discarded", async () => {
      const { bus } = bench.process([stumbling(isPoison)], []);
      await bench.write("teller", story());
      const letters = await bench.untilLetters(bus, [
        { status: "dead" },
        { status: "waiting" },
        { status: "waiting" },
      ]);
      expect(await bus.discard(letters[0]!.id)).toBe(true);
      await bench.untilHeard(["other", "2", "3"]);
      expect(await bus.discard(letters[0]!.id)).toBe(false);
      await bench.untilLetters(bus, []);
    });

    it("goes on with the key without it, when that was asked for", async () => {
      const { bus } = bench.process([stumbling(isPoison, { afterFailure: "follow" })], []);
      await bench.write("teller", story());
      await bench.untilHeard(["2", "other", "3"]);
      await bench.untilLetters(bus, [{ status: "dead", event: expect.objectContaining({ subject: "1" }) }]);
    });

    it("takes orders from a process that does not run the group", async () => {
      let isMended = false;
      const runs = bench.process([stumbling((event) => !isMended && isPoison(event))], []);
      const { bus } = bench.process([]);
      await bench.write("teller", [poison("a"), told("b")], runs.pool);
      const [letter] = await bench.untilLetters(bus, [{ status: "dead" }]);
      isMended = true;
      expect(await bus.retry(letter!.id)).toBe("retrying");
      await bench.untilHeard(["b", "a"]);
    });
  });
}
