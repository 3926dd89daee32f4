#!/usr/bin/env -S node --max-semi-space-size=64
import { Command } from "commander";
import { version } from "../version.ts";
import { explain, isClosedPipe, survivingClosedPipes } from "./output.ts";

const commands: Record<string, () => Promise<Command>> = {
  start: async () => (await import("./start.ts")).startCommand(),
  migrate: async () => (await import("./migrate.ts")).migrateCommand(),
  config: async () => (await import("./config.ts")).configCommand(),
  keys: async () => (await import("./keys.ts")).keysCommand(),
  import: async () => (await import("./import/command.ts")).importCommand(),
  export: async () => (await import("./export.ts")).exportCommand(),
  verify: async () => (await import("./verify.ts")).verifyCommand(),
  doctor: async () => (await import("./doctor.ts")).doctorCommand(),
  consumers: async () => (await import("./consumers.ts")).consumersCommand(),
  "dead-letters": async () => (await import("./dead-letters.ts")).deadLettersCommand(),
  demo: async () => (await import("./demo/command.ts")).demoCommand(),
};

survivingClosedPipes();

const program = new Command("holdfast")
  .description("Stock and orders in which the last unit is sold exactly once.")
  .version(version)
  .showHelpAfterError("(`--help` shows what there is)")
  .addHelpText(
    "after",
    "\nSettings come from the environment (HOLDFAST_…) and from holdfast.json; `holdfast config` shows them.",
  );
// Most of what a command takes to start is loading it, so the others are loaded only to be listed.
const named = process.argv[2];
const wanted = named !== undefined && Object.hasOwn(commands, named) ? [named] : Object.keys(commands);
for (const name of wanted) program.addCommand(await commands[name]!());

try {
  await program.parseAsync();
} catch (error) {
  if (!isClosedPipe(error)) {
    process.stderr.write(`${explain(error)}\n`);
    process.exitCode = 1;
  }
}
// An embedded PostgreSQL that is left to others is still watched over, which would keep this process alive.
process.exit();
