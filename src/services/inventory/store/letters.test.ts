import { expect, it } from "vitest";
import type { Transaction } from "../../../platform/batch/transaction.ts";
import { busEvent } from "../../../testing/inventory.ts";
import { keepLetters, type Letter } from "./letters.ts";

it("writes no more at once than fits into a text, each once and in the order of the key", () => {
  const written: string[][] = [];
  const tx = { write: (_, [ids]) => void written.push(ids as string[]) } as Pick<Transaction, "write">;
  const letters = Array.from({ length: 20 }, (_, i): Letter => {
    // Six characters in JSON for each.
    const event = busEvent("inventory.inbound", 20 - i, {
      type: "StockIn",
      data: { body: "\u0001".repeat(1_000_000) },
    });
    return { event, error: "odd", status: "dead" };
  });
  keepLetters(tx as Transaction, letters);
  expect(written.map(({ length }) => length)).toEqual([9, 9, 2]);
  expect(written.flat()).toEqual(letters.map(({ event }) => event.id).sort());
});
