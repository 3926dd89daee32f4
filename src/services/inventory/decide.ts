import { type Decision, unreachable } from "../../kernel/decision.ts";
import { adjust, count, move, syncProduct } from "./adjustment.ts";
import type { StockBook } from "./book.ts";
import type { InventoryCommand, InventoryEvent, InventoryRefusal } from "./contract/index.ts";
import { commit, confirm, expire, extend, release, secure } from "./hold.ts";
import { reserve } from "./reserve.ts";

/** The rules of the service. Pure: the same book and command give the same answer. */
export function decide(
  book: StockBook,
  command: InventoryCommand,
): Decision<InventoryEvent, InventoryRefusal> {
  switch (command.type) {
    case "ReserveStock":
      return reserve(book, command);
    case "ConfirmReservation":
      return confirm(book, command);
    case "SecureReservation":
      return secure(book, command);
    case "CommitReservation":
      return commit(book, command);
    case "ReleaseReservation":
      return release(book, command);
    case "ExtendReservation":
      return extend(book, command);
    case "ExpireReservations":
      return expire(book);
    case "AdjustStock":
      return adjust(book, command);
    case "MoveStock":
      return move(book, command);
    case "CountStock":
      return count(book, command);
    case "SyncProduct":
      return syncProduct(book, command);
    default:
      return unreachable(command);
  }
}
