/** Starts the embedded PostgreSQL in a process of its own, for tests that kill such a process. */
import { startEmbeddedPostgres } from "../platform/postgres/embedded/index.ts";

const server = await startEmbeddedPostgres({ dataDir: process.argv[2]!, settings: { fsync: "off" } });
console.log(JSON.stringify(server));

process.stdin.resume().once("end", () => server.stop());
