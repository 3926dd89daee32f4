import { readCsv } from "../csv.ts";
import { type Entry, type NamedRow, nameColumns } from "../import/kind.ts";

export interface InvoiceLine {
  readonly sku: string;
  readonly quantity: number;
}

/** An order as the retailer wrote it down; a `return` says what came back, or was never sent. */
export interface Invoice {
  readonly id: string;
  readonly kind: "order" | "return";
  readonly at: Date;
  readonly customer_id: string;
  readonly lines: readonly InvoiceLine[];
}

interface Row {
  readonly invoice: string;
  readonly line: InvoiceLine;
  readonly kind: Invoice["kind"];
  readonly at: Date;
  readonly customer_id: string;
}

const columns = ["invoice", "sku", "quantity", "at", "unit_price?", "customer_id?", "country?"];

/** The invoices of a file in its order, and the rows that are none. Rows of one invoice follow each other. */
export async function* readInvoices(
  file: string,
  isProduct: (sku: string) => boolean,
): AsyncGenerator<Entry<Invoice>> {
  let open: { line: number; rows: Row[] } | undefined;
  for await (const entries of nameColumns(readCsv(file), [columns])) {
    for (const entry of entries) {
      const row = "problem" in entry ? entry.problem : readRow(entry.item, isProduct);
      if (typeof row === "string") {
        yield { line: entry.line, problem: row };
        continue;
      }
      if (open !== undefined && open.rows[0]!.invoice !== row.invoice) {
        yield { line: open.line, item: invoiceOf(open.rows) };
        open = undefined;
      }
      open ??= { line: entry.line, rows: [] };
      open.rows.push(row);
    }
  }
  if (open !== undefined) yield { line: open.line, item: invoiceOf(open.rows) };
}

/** A row, or why it is none. */
function readRow(row: NamedRow, isProduct: (sku: string) => boolean): Row | string {
  const invoice = row.invoice!;
  const sku = row.sku!;
  const kind = invoice.startsWith("C") ? "return" : "order";
  const quantity = Number(row.quantity);
  const at = new Date(row.at!);
  if (!/^[A-Za-z0-9._~:-]{1,40}$/.test(invoice)) return `${JSON.stringify(invoice)} is no invoice number`;
  if (Number.isNaN(at.getTime())) return `${JSON.stringify(row.at)} is no time`;
  if (!Number.isInteger(quantity) || quantity === 0) return `${JSON.stringify(row.quantity)} is no quantity`;
  if (kind === "order" && quantity < 0) return `${quantity} of ${sku}, but ${invoice} is no cancellation`;
  if (kind === "return" && quantity > 0) return `${quantity} of ${sku}, but ${invoice} is a cancellation`;
  if (!isProduct(sku)) return `${JSON.stringify(sku)} is no product`;
  const line = { sku, quantity: Math.abs(quantity) };
  return { invoice, line, kind, at, customer_id: row.customer_id || "guest" };
}

/** The same SKU can stand on one invoice several times. */
function invoiceOf(rows: readonly Row[]): Invoice {
  const { invoice, kind, at, customer_id } = rows[0]!;
  const quantities = new Map<string, number>();
  for (const { line } of rows) quantities.set(line.sku, (quantities.get(line.sku) ?? 0) + line.quantity);
  const lines = [...quantities].map(([sku, quantity]) => ({ sku, quantity }));
  return { id: invoice, kind, at, customer_id, lines };
}
