import { hash } from "node:crypto";
import type { ProductInput } from "../../holdfast.ts";
import { checker, InvalidInput } from "../../input.ts";
import { ProductId, ProductSku, PutProductBody } from "../../services/catalog/contract.ts";
import { type Entry, type ImportKind, type NamedRow, nameColumns } from "./kind.ts";
import { SeenLines } from "./seen.ts";

interface Product {
  readonly id: string;
  readonly content: ProductInput;
}

/** One row: a SKU with the product that it belongs to. */
interface Row {
  readonly product_id: string;
  readonly name: string;
  readonly sku: ProductInput["skus"][number];
}

const checkId = checker(ProductId);
const checkSku = checker(ProductSku);
const checkContent = checker(PutProductBody);

const forms = [
  ["product_id", "name", "sku", "price_minor", "currency"],
  ["sku", "name", "unit_price"],
];

/** Products; rows of the same product that follow each other are its SKUs. */
export function productImport(): ImportKind<Product> {
  return {
    async *read(rows) {
      const grouping = new Grouping();
      for await (const named of nameColumns(rows, forms)) yield named.flatMap((row) => grouping.add(row));
      yield grouping.end();
    },
    async rehearse(engine, products) {
      const replies = await engine.rehearsal.putProducts(products);
      return replies.map((reply) => (reply.accepted ? undefined : reply.refusal.detail));
    },
    async apply(engine, { id, content }) {
      const reply = await engine.putProduct(id, content);
      return reply.accepted ? undefined : reply.refusal.detail;
    },
  };
}

class Grouping {
  private readonly products = new SeenLines();
  private readonly skus = new SeenLines();
  private open: { line: number; id: string; name: string; skus: Row["sku"][]; isWhole: boolean } | undefined;

  /** What the row has completed, and what is wrong with it. */
  add(entry: Entry<NamedRow>): Entry<Product>[] {
    if ("problem" in entry) return [entry];
    const { line } = entry;
    const row = readRow(entry.item);
    const id = typeof row === "string" ? entry.item.product_id : row.product_id;
    const done = id === this.open?.id ? [] : this.end();
    const problem = typeof row === "string" ? row : this.place(line, row);
    if (problem === undefined) return done;
    // The product without one of its SKUs would be another product.
    if (this.open !== undefined) this.open.isWhole = false;
    else if (id !== undefined) this.open = { line, id, name: "", skus: [], isWhole: false };
    return [...done, { line, problem }];
  }

  end(): Entry<Product>[] {
    const { open } = this;
    this.open = undefined;
    if (open === undefined) return [];
    const { line, id, name, skus, isWhole } = open;
    if (skus.length === 0) return [];
    if (!isWhole)
      return [{ line, problem: `the product ${id} is left out, since not all of its rows are good` }];
    const content = { name, skus };
    const problem = problemWith(() => checkContent(content));
    return [problem === undefined ? { line, item: { id, content } } : { line, problem }];
  }

  private place(line: number, { product_id: id, name, sku }: Row): string | undefined {
    const before = this.skus.firstLineOf(sku.sku, line);
    if (before !== undefined) return `the SKU ${sku.sku} stood in line ${before} already`;
    if (this.open === undefined) {
      const first = this.products.firstLineOf(id, line);
      if (first !== undefined) {
        return `the rows of ${id} must follow each other; it began in line ${first}`;
      }
      this.open = { line, id, name, skus: [sku], isWhole: true };
      return undefined;
    }
    if (this.open.isWhole && name !== this.open.name)
      return `${id} is called ${JSON.stringify(this.open.name)} in line ${this.open.line}`;
    this.open.skus.push(sku);
    return undefined;
  }
}

/** A row, or what is wrong with it. */
function readRow(row: NamedRow): Row | string {
  const sku = row.sku!;
  const price_minor = row.unit_price === undefined ? wholeNumber(row.price_minor!) : minorOf(row.unit_price);
  if (price_minor === undefined) {
    return row.unit_price === undefined
      ? `price_minor is ${JSON.stringify(row.price_minor)}, wanted is a whole number such as 250`
      : `unit_price is ${JSON.stringify(row.unit_price)}, wanted is a price such as 2.50`;
  }
  const product_id = row.product_id ?? idFor(sku);
  const item = { sku, price_minor, currency: row.currency ?? "GBP", policy: "hold" as const };
  const problem = problemWith(() => {
    checkSku(item);
    checkId(product_id);
  });
  return (
    problem ?? { product_id, name: row.unit_price === undefined ? row.name! : row.name || sku, sku: item }
  );
}

function problemWith(check: () => unknown): string | undefined {
  try {
    check();
    return undefined;
  } catch (error) {
    if (error instanceof InvalidInput) return error.message;
    throw error;
  }
}

function wholeNumber(text: string): number | undefined {
  return /^\d{1,16}$/.test(text) ? Number(text) : undefined;
}

/** Digits, not floating point: 0.29 is 29. */
function minorOf(price: string): number | undefined {
  const [, pounds, pence = ""] = /^(\d{1,13})(?:\.(\d{1,2}))?$/.exec(price) ?? [];
  return pounds === undefined ? undefined : Number(pounds + pence.padEnd(2, "0"));
}

/** A SKU may have any characters, a product's id may not: what had to be changed stays unmistakable by its hash. */
function idFor(sku: string): string {
  if (/^[A-Za-z0-9._~:-]{1,64}$/.test(sku)) return sku;
  return `${sku.replace(/[^A-Za-z0-9._~:-]+/g, "-").slice(0, 50)}-${hash("sha256", sku).slice(0, 8)}`;
}
