import { InfrastructureError } from "../platform/errors.ts";
import { codeOf, isConnectionLoss } from "../platform/postgres/errors.ts";

/** Something that the user can put right; the message says how. */
export class CliError extends Error {}

export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** What is said beside the result goes to stderr, so that the result can be piped. */
export function note(text: string): void {
  process.stderr.write(`${text}\n`);
}

export function printTable(header: readonly string[], rows: readonly (readonly string[])[]): void {
  const table = [header, ...rows];
  const widths = header.map((_, column) => Math.max(...table.map((row) => row[column]!.length)));
  for (const row of table)
    print(
      row
        .map((cell, i) => cell.padEnd(widths[i]!))
        .join("  ")
        .trimEnd(),
    );
}

/** What was expected to go wrong now and then is told in one message; a stack trace is for defects. */
export function explain(error: unknown): string {
  if (error instanceof CliError || error instanceof InfrastructureError) return `holdfast: ${error.message}`;
  if (isConnectionLoss(error)) {
    return `holdfast: the connection to the database was lost (${(error as Error).message}). Run the command again.`;
  }
  if (codeOf(error) === notMigrated) {
    return "holdfast: this database holds no Holdfast tables yet, or old ones. Run `holdfast migrate`.";
  }
  return `holdfast: this should not have happened.\n${error instanceof Error ? error.stack : String(error)}`;
}

/** SQLSTATE of a table that does not exist. */
const notMigrated = "42P01";

/** `holdfast export stock | head`: the reader has seen enough, which is no failure. */
export function survivingClosedPipes(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error) => {
      if (!isClosedPipe(error)) throw error;
    });
  }
}

export function isClosedPipe(error: unknown): boolean {
  return codeOf(error) === "EPIPE";
}
