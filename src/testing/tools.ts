import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, inject } from "vitest";

export type ToolName = "kafka" | "rabbitmq" | "promtool" | "postgresql";

/** What scripts/tools.mjs exports: plain JavaScript, since it runs before anything is installed or built. */
interface ToolsScript {
  readonly tools: Readonly<Record<ToolName, { isInstalled(): boolean }>>;
  findPostgres(): string | undefined;
}

const script: ToolsScript = await import(new URL("../../scripts/tools.mjs", import.meta.url).href);

/** The folder of PostgreSQL's own tools. */
export const { findPostgres } = script;

/** For suites that need the tool: skipped where it is not installed, and the run says so at its end. CI skips nothing. */
export function describeWith(name: ToolName): typeof describe.skip {
  if (script.tools[name].isInstalled() || process.env.CI === "true") return describe;
  writeFileSync(join(inject("brokersDirectory"), `without-${name}`), "");
  return describe.skip;
}
