import { Command } from "commander";
import { withCommas } from "../../kernel/number.ts";
import { createLogger } from "../../platform/telemetry/logger.ts";
import { withDatabase } from "../database.ts";
import { CliError, print } from "../output.ts";
import { readConfig } from "../settings.ts";
import { importFile, type Tally } from "./file.ts";
import type { ImportKind } from "./kind.ts";
import { productImport } from "./products.ts";
import { stockImport } from "./stock.ts";

export function importCommand(): Command {
  const command = new Command("import").description(
    "Take products or counted stock from a CSV file (.csv or .csv.gz)",
  );
  addKind(command, "stock", stockImport)
    .description("Set what is on hand: store_id,sku,quantity_on_hand; store_id may be left out")
    .addHelpText("after", `${rules}\nA count below what is reserved is refused.`);
  addKind(command, "products", productImport)
    .description(
      "Create or replace products: product_id,name,sku,price_minor,currency or sku,name,unit_price",
    )
    .addHelpText(
      "after",
      `${rules}\nRows of one product follow each other. unit_price is in GBP, and each SKU is a product of its own.`,
    );
  return command;
}

const rules = `
The first line names the columns. Without --partial the whole file is checked first, and nothing is changed if a row is
bad. What others do between the check and the import can still make single rows fail; they are told by their line.
Running the same file again changes nothing.`;

function addKind<Item>(
  parent: Command,
  name: string,
  kindFor: (defaultStore: string) => ImportKind<Item>,
): Command {
  return parent
    .command(name)
    .argument("<file>", "CSV in UTF-8, gzipped if its name ends with .gz")
    .option("--partial", "keep the good rows even if others are bad", false)
    .action(async (file: string, { partial }: { partial: boolean }) => {
      const config = readConfig();
      const { defaultStore, lowStockThreshold } = config;
      const logger = createLogger("warn", process.stderr);
      const tally = await withDatabase(config, (databaseUrl) =>
        importFile(
          { databaseUrl, defaultStore, lowStockThreshold, logger },
          file,
          kindFor(defaultStore),
          partial,
        ),
      );
      report(tally);
    });
}

function report({ good, bad }: Tally): void {
  const done = good === 0 ? "Nothing was changed." : `${withCommas(good)} imported.`;
  if (bad > 0) throw new CliError(`${withCommas(bad)} cannot be imported, as told above. ${done}`);
  print(done);
}
