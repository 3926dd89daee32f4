import { unreachable } from "../../../kernel/decision.ts";
import type { Cart, CartCommand, CartSettings, EndCarts } from "../contract.ts";
import { checkOut, gone, put, remove } from "./customer.ts";
import {
  heardHeld,
  heardHeldUntil,
  heardOrderCreated,
  heardOrderEnded,
  heardRefused,
  heardReleased,
} from "./heard.ts";
import { isShown, notFound, type Step, unchanged } from "./state.ts";

/** The rules of the service. Pure: the same cart, command and time give the same answer. */
export function step(
  cart: Cart | undefined,
  command: Exclude<CartCommand, EndCarts>,
  now: Date,
  settings: CartSettings,
): Step {
  switch (command.type) {
    case "PutCart":
      return put(cart, command, now, settings);
    case "DeleteCart":
      return isShown(cart) ? remove(cart, now) : gone(cart, command);
    case "CheckOutCart":
      return isShown(cart) ? checkOut(cart, command, now) : notFound(command.cart_id);
    case "HearHeld":
      return cart === undefined ? unchanged(cart) : heardHeld(cart, command, now);
    case "HearRefused":
      return cart === undefined ? unchanged(cart) : heardRefused(cart, command, now, settings);
    case "HearHeldUntil":
      return cart === undefined ? unchanged(cart) : heardHeldUntil(cart, command, now);
    case "HearReleased":
      return cart === undefined ? unchanged(cart) : heardReleased(cart, command, now);
    case "HearOrderCreated":
      return cart === undefined ? unchanged(cart) : heardOrderCreated(cart, command, now);
    case "HearOrderEnded":
      return cart === undefined ? unchanged(cart) : heardOrderEnded(cart, command, now);
    default:
      return unreachable(command);
  }
}
