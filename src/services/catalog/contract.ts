import { type Static, Type } from "typebox";
import { printable, printableId } from "../../kernel/text.ts";
import type { ProblemTable } from "../../platform/http/problem.ts";

export const ProductId = Type.String({
  minLength: 1,
  maxLength: 64,
  pattern: "^(?!\\.{1,2}$)[A-Za-z0-9._~:-]+$",
});

export const ProductSku = Type.Object({
  sku: Type.String({ minLength: 1, maxLength: 128, pattern: printableId }),
  price_minor: Type.Integer({
    minimum: 0,
    maximum: Number.MAX_SAFE_INTEGER,
    description: "In the currency's smallest unit: 250 is 2.50 EUR.",
  }),
  currency: Type.String({ pattern: "^[A-Z]{3}$", description: "ISO 4217." }),
  policy: Type.Enum(["hold"], { default: "hold", description: "`hold`: never sold beyond what is there." }),
});

export const PutProductBody = Type.Object({
  name: Type.String({ minLength: 1, maxLength: 500, pattern: printable }),
  skus: Type.Array(ProductSku, { minItems: 1, maxItems: 1_000 }),
});

export type ProductContent = Static<typeof PutProductBody>;

export interface Product extends ProductContent {
  readonly id: string;
  readonly created_at: Date;
  readonly updated_at: Date;
}

const Timestamp = Type.Unsafe<Date>(Type.String({ format: "date-time" }));

export const ProductView = Type.Object(
  {
    id: Type.String(),
    name: Type.String(),
    skus: Type.Array(
      Type.Object({
        sku: Type.String(),
        price_minor: Type.Integer(),
        currency: Type.String(),
        policy: Type.String(),
      }),
    ),
    created_at: Timestamp,
    updated_at: Timestamp,
  },
  { $id: "Product" },
);

export interface PutProduct {
  readonly type: "PutProduct";
  readonly product_id: string;
  readonly content: ProductContent;
  readonly traceparent?: string;
}

export type CatalogCommand = PutProduct;

export interface ProductEvent {
  readonly type: "ProductCreated" | "ProductUpdated";
  readonly data: { readonly product_id: string } & ProductContent;
}

export interface CatalogRefusal {
  readonly code: keyof typeof catalogProblems;
  readonly detail: string;
}

export const catalogProblems = {
  "catalog.product_not_found": { status: 404, title: "There is no product with this id" },
  "catalog.sku_taken": { status: 409, title: "Another product has this SKU" },
  "catalog.sku_repeated": { status: 422, title: "The product names a SKU twice" },
} as const satisfies ProblemTable;
