import { type Config, type LoadedConfig, loadConfig } from "../platform/config.ts";
import { note } from "./output.ts";

/** The configuration in force. Flags are given as the variables that they stand for, and beat those. */
export function readConfig(flags: Readonly<Record<string, string | undefined>> = {}): Config {
  const given = Object.entries(flags).filter(([, value]) => value !== undefined);
  return loadWithNotes({ ...process.env, ...Object.fromEntries(given) }).config;
}

/** Whoever has misspelt a setting hears of it from every command. */
export function loadWithNotes(env: NodeJS.ProcessEnv = process.env): LoadedConfig {
  const loaded = loadConfig(env, process.cwd());
  for (const warning of loaded.warnings) note(`holdfast: ${warning}.`);
  return loaded;
}
