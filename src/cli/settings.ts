import { type Config, loadConfig } from "../platform/config.ts";

/** The configuration in force. Flags are given as the variables that they stand for, and beat those. */
export function readConfig(flags: Readonly<Record<string, string | undefined>> = {}): Config {
  const given = Object.entries(flags).filter(([, value]) => value !== undefined);
  return loadConfig({ ...process.env, ...Object.fromEntries(given) }, process.cwd()).config;
}
