import { createWriteStream } from "node:fs";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { Argument, Command } from "commander";
import { withCommas } from "../kernel/number.ts";
import { codeOf } from "../platform/postgres/errors.ts";
import type { Pool } from "../platform/postgres/pool.ts";
import { untilReachable } from "../platform/postgres/reachable.ts";
import { csvLine } from "./csv.ts";
import { withDatabase, withPool } from "./database.ts";
import { CliError, note } from "./output.ts";
import { readConfig } from "./settings.ts";

type Value = string | number | null;

/** The rows come by a cursor, so that memory does not grow with them and all are of the same moment. */
interface Export {
  readonly columns: readonly string[];
  readonly query: string;
}

const exports = {
  stock: {
    columns: ["store_id", "sku", "quantity_on_hand"],
    // A SKU that the catalogue has dropped could not be imported again.
    query: `select store_id, sku, quantity_on_hand from inventory.stock where listed order by sku, store_id`,
  },
  products: {
    columns: ["product_id", "name", "sku", "price_minor", "currency"],
    query: `select id, name, item ->> 'sku', (item ->> 'price_minor')::bigint, item ->> 'currency'
            from catalog.products, json_array_elements(skus) with ordinality as items (item, place)
            order by id, place`,
  },
  reservations: {
    columns: [
      ...[
        "reservation_id",
        "status",
        "order_id",
        "reason",
        "store_id",
        "sku",
        "quantity",
        "quantity_committed",
      ],
      ...["expires_at", "created_at", "updated_at"],
    ],
    query: `select id, status, order_id, reason, line ->> 'store_id', line ->> 'sku', (line ->> 'quantity')::int,
                   (line ->> 'quantity_committed')::int, ${["expires_at", "created_at", "updated_at"]
                     .map((time) => `to_char(${time}, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`)
                     .join(", ")}
            from inventory.reservations, json_array_elements(lines) with ordinality as items (line, place)
            order by id, place`,
  },
} as const satisfies Record<string, Export>;

type Name = keyof typeof exports;

const rowsAtOnce = 5_000;

export function exportCommand(): Command {
  return new Command("export")
    .description("Write stock, products or reservations as CSV; stock and products can be imported again")
    .addArgument(new Argument("<what>", "what to write").choices(Object.keys(exports)))
    .argument("[file]", "gzipped if the name ends with .gz; - or nothing is stdout", "-")
    .addHelpText(
      "after",
      "\nFields are written as they are: in a spreadsheet, open what strangers have named as text, not as formulas.",
    )
    .action((what: Name, file: string) =>
      withDatabase(readConfig(), async (url) => {
        await untilReachable(url, note);
        await withPool(url, "holdfast export", (pool) => write(pool, exports[what], file));
      }),
    );
}

async function write(pool: Pool, what: Export, file: string): Promise<void> {
  let rows = 0;
  const lines = async function* () {
    yield csvLine(what.columns);
    for await (const some of readRows(pool, what.query)) {
      rows += some.length;
      yield some.map(csvLine).join("");
    }
  };
  const source = Readable.from(lines());
  if (file === "-") return pipeline(source, process.stdout, { end: false });
  try {
    const zip = file.endsWith(".gz") ? [createGzip()] : [];
    await pipeline([source, ...zip, createWriteStream(file)]);
  } catch (error) {
    if (!unwritable.has(codeOf(error) ?? "")) throw error;
    throw new CliError(`${file} cannot be written: ${(error as Error).message}.`);
  }
  note(`${withCommas(rows)} rows written to ${file}.`);
}

const unwritable = new Set(["ENOENT", "EACCES", "EISDIR", "EROFS", "ENOSPC"]);

async function* readRows(pool: Pool, query: string): AsyncGenerator<Value[][]> {
  const client = await pool.connect();
  try {
    await client.query("begin read only");
    await client.query("set local statement_timeout = 0");
    // A slow reader at the other end of the pipe is not idle.
    await client.query("set local idle_in_transaction_session_timeout = 0");
    await client.query(`declare rows no scroll cursor for ${query}`);
    for (;;) {
      const { rows } = await client.query<Value[]>({
        text: `fetch ${rowsAtOnce} from rows`,
        rowMode: "array",
      });
      if (rows.length > 0) yield rows;
      if (rows.length < rowsAtOnce) return;
    }
  } finally {
    client.release(true);
  }
}
