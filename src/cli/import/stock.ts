import { checker, InvalidInput } from "../../input.ts";
import { maxQuantity } from "../../kernel/limits.ts";
import { StockAddress, type StockKey } from "../../services/inventory/contract/index.ts";
import { type Entry, type ImportKind, type NamedRow, nameColumns } from "./kind.ts";
import { SeenLines } from "./seen.ts";

type Count = StockKey & { readonly quantity_on_hand: number };

const checkAddress = checker(StockAddress);

/** Absolute counts, one for each row. */
export function stockImport(defaultStore: string): ImportKind<Count> {
  return {
    async *read(rows) {
      const seen = new SeenLines();
      for await (const named of nameColumns(rows, [["store_id?", "sku", "quantity_on_hand"]])) {
        yield named.map((row) =>
          "problem" in row ? row : readCount(row.line, row.item, defaultStore, seen),
        );
      }
    },
    async rehearse(engine, counts) {
      const replies = await engine.rehearsal.count(counts);
      return replies.map((reply) => (reply.accepted ? undefined : reply.refusal.detail));
    },
    async apply(engine, { quantity_on_hand, ...key }) {
      const reply = await engine.count(key, quantity_on_hand, { reason: "import", actor: "import" });
      return reply.accepted ? undefined : reply.refusal.detail;
    },
  };
}

function readCount(line: number, row: NamedRow, defaultStore: string, seen: SeenLines): Entry<Count> {
  const key = { store_id: row.store_id || defaultStore, sku: row.sku! };
  const quantity = row.quantity_on_hand!;
  try {
    checkAddress(key);
  } catch (error) {
    if (error instanceof InvalidInput) return { line, problem: error.message };
    throw error;
  }
  if (!/^\d{1,10}$/.test(quantity) || Number(quantity) > maxQuantity) {
    const problem = `quantity_on_hand is ${JSON.stringify(quantity)}, wanted is a whole number from 0 to ${maxQuantity}`;
    return { line, problem };
  }
  // Two counts of one record: whichever came last would win, and a second run would change it twice again.
  const first = seen.firstLineOf(`${key.sku}\n${key.store_id}`, line);
  if (first !== undefined)
    return { line, problem: `${key.sku} in ${key.store_id} was counted in line ${first}` };
  return { line, item: { ...key, quantity_on_hand: Number(quantity) } };
}
