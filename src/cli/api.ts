import { type Command, Option } from "commander";
import { urlOf } from "../greeting.ts";
import { codeOf } from "../platform/postgres/errors.ts";
import { CliError } from "./output.ts";
import { readConfig } from "./settings.ts";

export interface ServerFlags {
  readonly url?: string;
  readonly key?: string;
}

const timeoutMs = 30_000;

/** What a command needs that asks a running server. */
export function withServerFlags(command: Command): Command {
  const url = new Option(
    "--url <url>",
    "the running server; absent: the one of HOLDFAST_HOST and HOLDFAST_PORT",
  );
  const key = new Option("--key <key>", "an API key; absent: none is sent");
  return command.addOption(url.env("HOLDFAST_URL")).addOption(key.env("HOLDFAST_API_KEY"));
}

/** Asks the server and answers with the body; a problem is told in the server's words. */
// biome-ignore lint/suspicious/noExplicitAny: each command knows what it asks for.
export async function ask(flags: ServerFlags, method: string, path: string, body?: object): Promise<any> {
  const server = serverOf(flags);
  const headers: Record<string, string> = {};
  if (flags.key !== undefined) headers.authorization = `Bearer ${flags.key}`;
  if (body !== undefined) headers["content-type"] = "application/json";
  const response = await fetch(server + path, {
    method,
    headers,
    signal: AbortSignal.timeout(timeoutMs),
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  }).catch((error) => {
    throw unreachable(server, error);
  });
  const answer = parse(await response.text());
  if (response.ok) return answer;
  throw refused(server, response.status, answer);
}

function serverOf({ url }: ServerFlags): string {
  if (url !== undefined) {
    if (!URL.canParse(url) || !/^https?:/.test(url)) {
      throw new CliError(`${url} is not a URL such as http://127.0.0.1:7400.`);
    }
    return url.replace(/\/+$/, "");
  }
  const { host, port } = readConfig();
  return urlOf(host, port);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function unreachable(server: string, error: Error): CliError {
  const { cause = error } = error;
  const reason = codeOf(cause) ?? (cause as Error).message;
  return new CliError(
    `No server answers at ${server} (${reason}). Start one with \`holdfast start\`, or name a running one with --url.`,
  );
}

interface Problem {
  readonly code?: string;
  readonly detail?: string;
}

function refused(server: string, status: number, answer: unknown): CliError {
  const { code, detail } = (answer ?? {}) as Problem;
  if (code === undefined) return new CliError(`${server} answered ${status}, which Holdfast would not.`);
  const hint =
    status === 401 || status === 403 ? " Name a key with --key; `holdfast keys create` makes one." : "";
  return new CliError(`${detail ?? code}${hint}`);
}
