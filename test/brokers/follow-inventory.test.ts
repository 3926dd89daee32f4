import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { afterAll, expect, it, vi } from "vitest";
import type { Line, StockRecord } from "../../src/services/inventory/contract/index.ts";
import { describeKafka, useKafka } from "../../src/testing/brokers.ts";
import { brokerSettings } from "../../src/testing/house.ts";
import { patience } from "../../src/testing/patience.ts";
import { line, useShop } from "../../src/testing/shop.ts";

const program = fileURLToPath(new URL("../../examples/follow-inventory.mjs", import.meta.url));

describeKafka("a program that knows the document and a plain client of Kafka", () => {
  const kafka = useKafka();
  let prefix = "";
  const shop = useShop(() => {
    const settings = brokerSettings("kafka", kafka.brokers);
    prefix = settings.topicPrefix;
    return settings;
  });
  let child: ChildProcess | undefined;
  let said = "";

  function start(): void {
    child = spawn(process.execPath, [program, kafka.brokers, prefix], { stdio: ["ignore", "pipe", "pipe"] });
    const listen = (text: string) => {
      said += text;
    };
    for (const stream of [child.stdout!, child.stderr!]) stream.setEncoding("utf8").on("data", listen);
  }
  afterAll(async () => {
    if (child === undefined || child.exitCode !== null) return;
    child.kill("SIGKILL");
    await once(child, "exit");
  });

  it("knows what can be sold, from the oldest message on", async () => {
    const skus = await Promise.all([10, 20, 30].map((quantity) => shop.stocked(quantity)));
    await shop.held(line(skus[0]!, 4));
    await completed([line(skus[1]!, 3), line(skus[2]!, 1)]);
    start();
    await expectMirrored([6, 17, 29]);

    await completed([line(skus[0]!, 2)]);
    await expectMirrored([4, 17, 29]);
  });

  async function completed(lines: Line[]): Promise<void> {
    await shop.becomes(await shop.ordered({ lines }), "completed");
    await shop.settled();
  }

  async function expectMirrored(available: readonly number[]): Promise<void> {
    const records: StockRecord[] = await shop.pages("/v1/stock", 100);
    expect(records.map(({ quantity_available }) => quantity_available)).toEqual(available);
    const expected = records.map((one) =>
      [one.store_id, one.sku, one.quantity_available, one.version].map(String),
    );
    await vi.waitFor(() => expect(lastTable(said), said).toEqual(expected), patience);
  }
});

/** The rows of the last table that `console.table` has drawn, as text. */
function lastTable(text: string): string[][] {
  const lines = text.slice(text.lastIndexOf("┌")).split("\n");
  const rows = lines.filter((one) => one.startsWith("│")).slice(1);
  return rows.map((row) =>
    row
      .split("│")
      .slice(2, -1)
      .map((cell) => cell.trim().replaceAll("'", "")),
  );
}
