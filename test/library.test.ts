import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, it, vi } from "vitest";
import { createHoldfast, InvalidInput } from "../src/index.ts";
import { useTestDatabase } from "../src/testing/database.ts";
import { patience } from "../src/testing/patience.ts";

const database = useTestDatabase();

it("runs the example of the library as it is printed", async () => {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ["--import", "tsx", "examples/in-process.ts"],
    { env: { ...process.env, DATABASE_URL: database.url } },
  );
  expect(stdout.trim().split("\n")).toEqual([
    "alice: held",
    "bob: inventory.insufficient_stock, MUG-BLUE in main: 1 requested, 0 available.",
    "on hand: 0",
  ]);
});

it("refuses wrong input by name before anything is sent", async () => {
  const holdfast = await createHoldfast({ databaseUrl: database.url });
  try {
    const line = { store_id: "main", sku: "MUG-BLUE", quantity: "1" as unknown as number };
    await expect(holdfast.reserve("r1", [line])).rejects.toThrow(InvalidInput);
    await expect(holdfast.reserve("r1", [line])).rejects.toThrow(/lines\.0\.quantity/);
    await expect(holdfast.reserve("not an id", [{ ...line, quantity: 1 }])).rejects.toThrow(InvalidInput);
    expect(await holdfast.reservation("r1")).toBeUndefined();
    const bowl = { name: "Bowl", skus: [{ sku: "BOWL", price_minor: 1, currency: "EUR" }] };
    // No address would reach them.
    for (const id of [".", ".."]) await expect(holdfast.putProduct(id, bowl)).rejects.toThrow(InvalidInput);
  } finally {
    await holdfast.close();
  }
});

it("keeps two engines in one process apart and lets both finish", async () => {
  const [one, two] = await Promise.all([
    createHoldfast({ databaseUrl: database.url }),
    createHoldfast({ databaseUrl: database.url }),
  ]);
  await one.putProduct("bowl", { name: "Bowl", skus: [{ sku: "BOWL", price_minor: 1, currency: "EUR" }] });
  const count = () => two.count({ store_id: "main", sku: "BOWL" }, 1, { reason: "first count" });
  await vi.waitFor(async () => expect(await count()).toMatchObject({ accepted: true }), patience);
  const lines = [{ store_id: "main", sku: "BOWL", quantity: 1 }];
  const answers = await Promise.all([one.reserve("bowl-1", lines), two.reserve("bowl-2", lines)]);
  expect(answers.map((answer) => answer.accepted).sort()).toEqual([false, true]);
  await Promise.all([one.close(), two.close()]);
});
