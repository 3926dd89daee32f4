import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { didYouMean } from "./did-you-mean.ts";
import { InfrastructureError } from "./errors.ts";
import { type Config, type Setting, type SettingKey, settings } from "./settings.ts";

export type { Config } from "./settings.ts";

export type Source = "default" | "file" | "environment";

export interface LoadedConfig {
  readonly config: Config;
  readonly sources: Readonly<Record<SettingKey, Source>>;
  /** Variables that look like ours and are none. The environment is not ours alone: platforms add to it by themselves. */
  readonly warnings: readonly string[];
}

export interface ConfigRow {
  readonly name: string;
  readonly value: string;
  readonly source: Source;
}

type Environment = Readonly<Record<string, string | undefined>>;

const prefix = "HOLDFAST_";
const configFileVariable = "HOLDFAST_CONFIG";
/** For commands that ask a running server. */
const clientVariables = ["HOLDFAST_URL", "HOLDFAST_API_KEY"];
const keys = Object.keys(settings) as SettingKey[];

/** Reads every setting once: the environment beats the file, the file beats the default. */
export function loadConfig(env: Environment, cwd: string): LoadedConfig {
  const file = readConfigFile(env, cwd);
  const problems = unknownFileKeys(file);
  const config: Partial<Record<SettingKey, unknown>> = {};
  const sources = {} as Record<SettingKey, Source>;

  for (const key of keys) {
    const setting: Setting<unknown> = settings[key];
    // An empty variable is how compose files and shells spell "not set".
    const fromEnvironment = env[environmentName(key)] || undefined;
    const given = fromEnvironment ?? file[fileKey(key)];
    sources[key] = fromEnvironment !== undefined ? "environment" : given !== undefined ? "file" : "default";
    if (given === undefined) {
      config[key] = setting.default;
      continue;
    }
    const parsed = setting.schema.safeParse(given);
    if (parsed.success) config[key] = parsed.data;
    else problems.push(wrongValue(key, setting, given));
  }

  if (problems.length > 0) throw invalid(problems);
  return { config: config as Config, sources, warnings: unknownVariables(env) };
}

/** What is in force and where it comes from, fit to be shown: secrets are masked. */
export function describeConfig({ config, sources }: LoadedConfig): ConfigRow[] {
  return keys.map((key) => ({
    name: environmentName(key),
    value: show(settings[key], config[key]),
    source: sources[key],
  }));
}

/** The name of a setting in the environment: `holdTtlSeconds` is `HOLDFAST_HOLD_TTL_SECONDS`. */
export function environmentName(key: SettingKey): string {
  return prefix + fileKey(key).toUpperCase();
}

function fileKey(key: SettingKey): string {
  return key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

function readConfigFile(env: Environment, cwd: string): Readonly<Record<string, unknown>> {
  const named = env[configFileVariable] || undefined;
  const path = resolve(cwd, named ?? "holdfast.json");
  let content: string;
  try {
    content = readFileSync(path, "utf8");
  } catch (error) {
    if (named === undefined && (error as NodeJS.ErrnoException).code === "ENOENT") return {};
    throw invalid([`${path} cannot be read: ${(error as Error).message}`]);
  }
  let parsed: unknown;
  try {
    parsed = JSON.parse(content);
  } catch {
    // The parser's own message quotes the text, which may hold a password.
    throw invalid([`${path} is not valid JSON`]);
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) {
    throw invalid([`${path} must hold one JSON object`]);
  }
  return parsed as Record<string, unknown>;
}

function unknownVariables(env: Environment): string[] {
  const known = new Set([configFileVariable, ...clientVariables, ...keys.map(environmentName)]);
  return Object.keys(env)
    .filter((name) => name.startsWith(prefix) && !name.startsWith(`${prefix}TEST_`) && !known.has(name))
    .map((name) => `${name} is not a setting${didYouMean(name, known)} and is ignored`);
}

function unknownFileKeys(file: Readonly<Record<string, unknown>>): string[] {
  const known = new Set(keys.map(fileKey));
  return Object.keys(file)
    .filter((name) => !known.has(name))
    .map((name) => `"${name}" in the configuration file is not a setting${didYouMean(name, known)}`);
}

function wrongValue(key: SettingKey, setting: Setting<unknown>, given: unknown): string {
  const got = setting.secret ? "a value that is not shown" : JSON.stringify(given);
  return `${environmentName(key)} got ${got}, wants ${setting.schema.description}`;
}

function show(setting: Setting<unknown>, value: unknown): string {
  if (value === undefined) return "";
  if (!setting.secret) return String(value);
  if (!URL.canParse(String(value))) return "***";
  const url = new URL(String(value));
  if (url.password) url.password = "***";
  // Connection parameters may carry a password too (`?password=`), so none is shown.
  url.search = "";
  return url.href;
}

function invalid(problems: readonly string[]): InfrastructureError {
  const message = `The configuration cannot be used:\n${problems.map((problem) => `  - ${problem}`).join("\n")}`;
  return new InfrastructureError("config.invalid", message, { retryable: false });
}
