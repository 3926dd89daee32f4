import { Command } from "commander";
import { CliError } from "../output.ts";
import { flashSale } from "./flash-sale.ts";
import { retail } from "./retail.ts";

export function demoCommand(): Command {
  const demo = new Command("demo").description("Tell a story with a Holdfast of its own, and prove its end");
  demo
    .command("flash-sale")
    .description("5,000 buyers at once for 100 units: some pay late, some cards fail, some cancel")
    .option("--buyers <number>", "how many want one", "5000")
    .option("--units <number>", "how many there are", "100")
    .action(async ({ buyers, units }: { buyers: string; units: string }) => {
      const proven = await flashSale({ buyers: whole("--buyers", buyers), units: whole("--units", units) });
      if (!proven) process.exitCode = 1;
    });
  demo
    .command("retail <orders>")
    .description(
      "Replay a retailer's invoices (CSV, also gzipped: invoice, sku, quantity, at, unit_price, …)",
    )
    .option("--products <file>", "the SKUs (CSV: sku, name, unit_price); absent: those of the invoices")
    .option("--speed <factor>", "how much faster than it happened; absent: as fast as it goes")
    .action(async (orders: string, { products, speed }: { products?: string; speed?: string }) => {
      const factor = speed === undefined ? undefined : whole("--speed", speed);
      const proven = await retail({
        orders,
        ...(products === undefined ? {} : { products }),
        ...(factor === undefined ? {} : { speed: factor }),
      });
      if (!proven) process.exitCode = 1;
    });
  return demo;
}

function whole(option: string, text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1 && value <= 1_000_000_000) return value;
  throw new CliError(`${option} wants a whole number from 1, not ${text}.`);
}
