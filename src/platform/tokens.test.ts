import { expect, it } from "vitest";
import { withoutTokens } from "./tokens.ts";

it("leaves out tokens wherever they stand, and nothing else", () => {
  const at = new Date(0);
  const payment = { token: "tok_ok", status: "none" };
  const order = { id: "a", at, note: null, lines: [{ sku: "mug", token: "x" }], payment };

  expect(withoutTokens(order)).toEqual({
    id: "a",
    at,
    note: null,
    lines: [{ sku: "mug" }],
    payment: { status: "none" },
  });
  expect(order.payment.token, "the original is as it was").toBe("tok_ok");
});
