import { createReadStream } from "node:fs";
import { createGunzip } from "node:zlib";
import { codeOf } from "../platform/postgres/errors.ts";
import { CliError } from "./output.ts";

export interface CsvRow {
  /** Where it begins in the file; the first line is 1. */
  readonly line: number;
  readonly fields: readonly string[];
  /** Why the fields cannot be trusted. */
  readonly problem?: string;
}

/** A quote that is never closed would otherwise take the whole file for one field. */
const longestRecord = 1_048_576;

/** The rows of an RFC 4180 file, as many at once as arrive at once. Empty lines are left out. */
export async function* readCsv(file: string): AsyncGenerator<CsvRow[]> {
  const raw = createReadStream(file);
  const bytes = file.endsWith(".gz") ? raw.pipe(createGunzip()) : raw;
  raw.on("error", (error) => bytes.destroy(error));
  try {
    yield* parseCsv(decode(bytes));
  } catch (error) {
    const why = reasons[codeOf(error) ?? ""];
    throw why === undefined ? error : new CliError(`${file} ${why}.`);
  } finally {
    raw.destroy();
  }
}

const reasons: Readonly<Record<string, string>> = {
  ENOENT: "does not exist",
  EACCES: "may not be read by this account",
  EISDIR: "is a directory",
  Z_DATA_ERROR: "is not a gzip file, or it is damaged",
  Z_BUF_ERROR: "ends too early: it was not written to its end",
  ERR_ENCODING_INVALID_ENCODED_DATA: "is not UTF-8; save it as UTF-8",
};

async function* decode(bytes: AsyncIterable<Buffer>): AsyncGenerator<string> {
  // It takes away a byte order mark, which spreadsheets like to write.
  const decoder = new TextDecoder("utf-8", { fatal: true });
  for await (const chunk of bytes) yield decoder.decode(chunk, { stream: true });
  yield decoder.decode();
}

/** A record of which lines may be missing yet. */
interface OpenRecord {
  readonly line: number;
  readonly fields: string[];
  length: number;
  /** What there is of the quoted field that a later line must close. */
  quoted?: string | undefined;
}

export async function* parseCsv(chunks: AsyncIterable<string>): AsyncGenerator<CsvRow[]> {
  let rest = "";
  let line = 0;
  let open: OpenRecord | undefined;

  const parse = (texts: readonly string[]): CsvRow[] => {
    const rows: CsvRow[] = [];
    for (const text of texts) {
      line++;
      if (open === undefined && (text === "" || text === "\r")) continue;
      const record: OpenRecord = open ?? { line, fields: [], length: 0 };
      const row = parseLine(record, text);
      open = row === undefined ? record : undefined;
      if (row !== undefined) rows.push(row);
      else if (record.length > longestRecord) throw unclosed(record.line);
    }
    return rows;
  };

  for await (const chunk of chunks) {
    const texts = (rest + chunk).split("\n");
    rest = texts.pop()!;
    if (rest.length > longestRecord)
      throw new CliError(`Line ${line + texts.length + 1} is too long for a row.`);
    yield parse(texts);
  }
  yield parse([rest]);
  if (open !== undefined) throw unclosed(open.line);
}

/**
 * Goes on with a record where the line before has left it, so that no line is read twice. Undefined when a quoted field
 * is still open at the end of this one.
 */
function parseLine(record: OpenRecord, whole: string): CsvRow | undefined {
  const { line, fields } = record;
  const text = whole.endsWith("\r") ? whole.slice(0, -1) : whole;
  record.length += whole.length + 1;
  if (record.quoted === undefined && !text.includes('"')) return { line, fields: text.split(",") };
  for (let at = 0; ; ) {
    let end: number;
    if (record.quoted === undefined && text[at] === '"') {
      record.quoted = "";
      at++;
    }
    if (record.quoted !== undefined) {
      end = closingQuote(text, at) + 1;
      if (end === 0) {
        record.quoted += `${whole.slice(at)}\n`;
        return undefined;
      }
      fields.push((record.quoted + text.slice(at, end - 1)).replaceAll('""', '"'));
      record.quoted = undefined;
    } else {
      end = text.indexOf(",", at);
      if (end === -1) end = text.length;
      const field = text.slice(at, end);
      if (field.includes('"')) return { line, fields, problem: `a quote inside the unquoted field ${field}` };
      fields.push(field);
    }
    if (end === text.length) return { line, fields };
    if (text[end] !== ",") {
      return { line, fields, problem: `text behind the closing quote of "${fields.at(-1)}"` };
    }
    at = end + 1;
  }
}

function closingQuote(text: string, from: number): number {
  let at = text.indexOf('"', from);
  while (at !== -1 && text[at + 1] === '"') at = text.indexOf('"', at + 2);
  return at;
}

function unclosed(line: number): CliError {
  return new CliError(`Line ${line}: a quoted field is not closed. Nothing behind it can be read.`);
}

export function csvLine(values: readonly (string | number | null)[]): string {
  return `${values.map(csvField).join(",")}\r\n`;
}

function csvField(value: string | number | null): string {
  const text = value === null ? "" : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
