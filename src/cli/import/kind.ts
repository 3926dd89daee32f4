import type { Holdfast } from "../../holdfast.ts";
import type { CsvRow } from "../csv.ts";
import { CliError } from "../output.ts";

/** One thing to be imported, or why it cannot be. */
export type Entry<Item> = { readonly line: number } & (
  | { readonly item: Item }
  | { readonly problem: string }
);

/** Why the engine refuses an item; undefined when it takes it. */
export type Verdict = string | undefined;

/** What can be imported. */
export interface ImportKind<Item> {
  read(rows: AsyncIterable<CsvRow[]>): AsyncIterable<Entry<Item>[]>;
  rehearse(engine: Holdfast, items: readonly Item[]): Promise<Verdict[]>;
  apply(engine: Holdfast, item: Item): Promise<Verdict>;
}

/** A row by the names of its columns. */
export type NamedRow = Readonly<Record<string, string>>;

/** Gives the rows behind the header names. Each of `forms` is a set of columns that a file may have; `?` may be missing. */
export async function* nameColumns(
  rows: AsyncIterable<CsvRow[]>,
  forms: readonly (readonly string[])[],
): AsyncGenerator<Entry<NamedRow>[]> {
  let header: readonly string[] | undefined;
  for await (const some of rows) {
    const data = header === undefined ? some.slice(1) : some;
    header ??= some[0] && checkHeader(some[0], forms);
    if (header !== undefined) yield data.map((row) => nameFields(row, header!));
  }
  if (header === undefined) throw new CliError(`The file is empty. ${wanted(forms)}`);
}

function checkHeader({ fields }: CsvRow, forms: readonly (readonly string[])[]): readonly string[] {
  const fits = forms.some(
    (form) =>
      form.every((name) => name.endsWith("?") || fields.includes(name)) &&
      fields.every(
        (name, i) => (form.includes(name) || form.includes(`${name}?`)) && fields.indexOf(name) === i,
      ),
  );
  if (fits) return fields;
  throw new CliError(`Line 1 must name the columns, and has: ${fields.join(",")}. ${wanted(forms)}`);
}

function wanted(forms: readonly (readonly string[])[]): string {
  return `Wanted: ${forms.map((form) => form.join(",")).join(" or ")} (in any order; with ? it may be left out).`;
}

function nameFields({ line, fields, problem }: CsvRow, header: readonly string[]): Entry<NamedRow> {
  if (problem !== undefined) return { line, problem };
  if (fields.length !== header.length) {
    return { line, problem: `${fields.length} fields, but the header names ${header.length}` };
  }
  return { line, item: Object.fromEntries(header.map((name, i) => [name, fields[i]!])) };
}
