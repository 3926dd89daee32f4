import { Command } from "commander";
import { runServer } from "../main.ts";
import { readConfig } from "./settings.ts";

interface Flags {
  port?: string;
  host?: string;
  services?: string;
  dataDir?: string;
}

export function startCommand(): Command {
  return new Command("start")
    .description("Run the server, with an embedded PostgreSQL unless HOLDFAST_DATABASE_URL names another")
    .option("--port <port>", "port of the HTTP server; 0 takes any free one (HOLDFAST_PORT)")
    .option("--host <host>", "address that it listens on (HOLDFAST_HOST)")
    .option(
      "--services <names>",
      "services that this process runs, such as catalog,inventory (HOLDFAST_SERVICES)",
    )
    .option("--data-dir <directory>", "where the embedded database lives (HOLDFAST_DATA_DIR)")
    .action(async ({ port, host, services, dataDir }: Flags) => {
      const config = readConfig({
        HOLDFAST_PORT: port,
        HOLDFAST_HOST: host,
        HOLDFAST_SERVICES: services,
        HOLDFAST_DATA_DIR: dataDir,
      });
      await runServer(config);
    });
}
