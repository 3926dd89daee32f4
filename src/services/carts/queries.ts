import type { Reader, Statement } from "../../platform/postgres/statement.ts";
import type { Cart } from "./contract.ts";
import { type CartRow, cartColumns, parseCart } from "./store.ts";

export async function findCart(database: Reader, id: string): Promise<Cart | undefined> {
  const [row] = await database.read<CartRow>(cartById, [id]);
  return row && parseCart(row);
}

const cartById: Statement = {
  name: "carts_by_id",
  text: `select ${cartColumns} from carts.carts where id = $1 and status <> 'deleted'`,
};
