import { type TSchema, Type } from "typebox";

/** The query of every list. */
export const pageQuery = {
  after: Type.Optional(Type.String({ maxLength: 1_024, description: "The `next` of the page before." })),
  limit: Type.Integer({ minimum: 1, maximum: 1_000, default: 100 }),
};

export function pageOf<Item extends TSchema>(item: Item) {
  return Type.Object({
    items: Type.Array(item),
    next: Type.Union([Type.String(), Type.Null()], {
      description: "Send it as `after`; null on the last page.",
    }),
  });
}
