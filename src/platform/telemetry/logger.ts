import { type Logger, pino, stdTimeFunctions } from "pino";
import { parseTraceparent } from "./trace.ts";

export type { Logger } from "pino";

export type LogLevel = "fatal" | "error" | "warn" | "info" | "debug" | "trace" | "silent";

interface Output {
  readonly isTTY?: boolean;
  write(text: string): unknown;
}

/** One JSON object per line for machines; on a terminal the same line for eyes. */
export function createLogger(level: LogLevel, output: Output = process.stdout): Logger {
  return pino(
    {
      level,
      base: null,
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    output.isTTY ? { write: (line) => output.write(readable(line)) } : output,
  );
}

/** What a line about a command or an event says of its trace, so that the two are found together. */
export function traceFields(traceparent: string | undefined): { readonly trace_id?: string } {
  const context = parseTraceparent(traceparent);
  return context === undefined ? {} : { trace_id: context.traceId };
}

const colours: Record<string, number> = { fatal: 31, error: 31, warn: 33, info: 32, debug: 36, trace: 90 };

function readable(line: string): string {
  const { level, time, msg, err, ...fields } = JSON.parse(line);
  const details = Object.entries(fields).map(
    ([name, value]) => ` ${grey(`${name}=${JSON.stringify(value)}`)}`,
  );
  const trouble = err === undefined ? "" : `\n${err.stack ?? err.message}`;
  const badge = `\u001b[${colours[level]}m${level.padEnd(5)}\u001b[39m`;
  return `${grey(time.slice(11, 23))} ${badge} ${msg ?? ""}${details.join("")}${trouble}\n`;
}

function grey(text: string): string {
  return `\u001b[90m${text}\u001b[39m`;
}
