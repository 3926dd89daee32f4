#!/usr/bin/env -S node --max-semi-space-size=64
import { Command } from "commander";
import { version } from "../main.ts";
import { configCommand } from "./config.ts";
import { consumersCommand } from "./consumers.ts";
import { deadLettersCommand } from "./dead-letters.ts";
import { demoCommand } from "./demo/command.ts";
import { doctorCommand } from "./doctor.ts";
import { exportCommand } from "./export.ts";
import { importCommand } from "./import/command.ts";
import { keysCommand } from "./keys.ts";
import { migrateCommand } from "./migrate.ts";
import { explain, isClosedPipe, survivingClosedPipes } from "./output.ts";
import { startCommand } from "./start.ts";
import { verifyCommand } from "./verify.ts";

survivingClosedPipes();

const program = new Command("holdfast")
  .description("Stock and orders in which the last unit is sold exactly once.")
  .version(version)
  .showHelpAfterError("(`--help` shows what there is)")
  .addHelpText(
    "after",
    "\nSettings come from the environment (HOLDFAST_…) and from holdfast.json; `holdfast config` shows them.",
  );
for (const command of [
  startCommand(),
  migrateCommand(),
  configCommand(),
  keysCommand(),
  importCommand(),
  exportCommand(),
  verifyCommand(),
  doctorCommand(),
  consumersCommand(),
  deadLettersCommand(),
  demoCommand(),
]) {
  program.addCommand(command);
}

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
