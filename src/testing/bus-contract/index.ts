import { describe, expect, it } from "vitest";
import type { BusAbilities } from "../../platform/bus/port.ts";
import { describeAccount } from "./account.ts";
import { BusBench, type OpenBus } from "./bench.ts";
import { describeDelivery } from "./delivery.ts";
import { describeFailures } from "./failures.ts";
import { describeOnce } from "./once.ts";
import { describeReplay } from "./replay.ts";

/** What every bus promises, whatever carries the events. */
export function describeBus(name: string, openBus: OpenBus, abilities: BusAbilities): void {
  describe(`the ${name} bus`, () => {
    const bench = new BusBench(openBus, abilities.orders);

    it("says what it can do", () => {
      const { bus } = bench.process([]);
      expect([bus.abilities, bus.broker() !== undefined]).toEqual([abilities, abilities.leavesTheDatabase]);
    });

    describeDelivery(bench);
    describeOnce(bench, abilities);
    describeFailures(bench);
    describeReplay(bench);
    describeAccount(bench);
  });
}
