import { Type } from "typebox";
import { printable } from "../../kernel/text.ts";
import type { ProblemTable } from "../../platform/http/problem.ts";
import { Sku, type StockKey, StoreId } from "../inventory/contract/index.ts";

export interface StorefrontSettings {
  /** Streams that may be open at once; one more is refused. */
  readonly max_streams: number;
}

/** As the table keeps it. */
export interface AvailabilityRow extends StockKey {
  /** What the stock has; nothing of it can be sold while the SKU is not listed. */
  readonly quantity_available: number;
  readonly version: number;
  readonly listed: boolean;
  readonly listing_position: number;
  readonly position: number;
  readonly event_index: number;
}

export const storefrontProblems = {
  "storefront.not_ready": {
    status: 503,
    title: "The availability is still being read from the log",
    retryAfterSeconds: 1,
  },
  "storefront.too_many_streams": {
    status: 503,
    title: "No more streams are served by this process",
    retryAfterSeconds: 5,
  },
} as const satisfies ProblemTable;

// ---- wire schemas --------------------------------------------------------------------------------------------------

export const maxSkus = 500;
/** More than an address has room for: SKUs are counted when those that are named twice are known. */
const maxParameters = 3_000;

const Skus = Type.Union(
  [
    Type.String({ minLength: 1, pattern: printable }),
    Type.Array(Sku, { minItems: 1, maxItems: maxParameters }),
  ],
  {
    description:
      `Up to ${maxSkus} different SKUs, separated by commas. Where the parameter is given more than once, each is one SKU as it ` +
      "stands, commas included; a single SKU with a comma in it is given twice.",
  },
);

export const AvailabilityQuery = Type.Object({ sku: Skus, store_id: Type.Optional(StoreId) });

/** Where in the inventory's log a stream has been. */
const placePattern = "^[0-9]{1,15}-[0-9]{1,9}$";

export const StreamQuery = Type.Object({
  sku: Type.Optional(Skus),
  store_id: Type.Optional(StoreId),
  last_event_id: Type.Optional(
    Type.String({ pattern: placePattern, description: "For clients that cannot send the header." }),
  ),
});

export const StreamHeaders = Type.Object({
  "last-event-id": Type.Optional(
    Type.String({ pattern: placePattern, description: "The last `id` that an earlier stream has sent." }),
  ),
});

const AvailabilityItem = Type.Object(
  {
    store_id: Type.String(),
    sku: Type.String(),
    quantity_available: Type.Integer({
      description: "What can still be sold: 0 for a SKU that the catalogue offers no more.",
    }),
    version: Type.Integer({
      description:
        "Of the stock record: one more with every movement. Listing a SKU or not does not change it.",
    }),
    as_of: Type.String({ format: "date-time" }),
  },
  { $id: "Availability" },
);

export const AvailabilityView = Type.Object({
  age_ms: Type.Integer({
    description: "How old the answer is: at most so long ago, in milliseconds, everything was as it says.",
  }),
  items: Type.Array(AvailabilityItem),
});
