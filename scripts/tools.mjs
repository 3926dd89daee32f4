// What the tests need beyond npm; each tool says whether it is there, and which packages have what is missing of it.
import { existsSync, readdirSync } from "node:fs";
import { delimiter, join } from "node:path";
import * as kafka from "./brokers/kafka.mjs";
import * as rabbitmq from "./brokers/rabbitmq.mjs";
import { hasProgram } from "./debian.mjs";

export const tools = {
  kafka,
  rabbitmq,
  promtool: {
    isInstalled: () => hasProgram("promtool"),
    packages: () => (hasProgram("promtool") ? [] : ["prometheus"]),
  },
  postgresql: {
    isInstalled: () => findPostgres() !== undefined,
    packages: () => (findPostgres() === undefined ? ["postgresql"] : []),
  },
};

const programs = ["initdb", "postgres", "pg_dump", "pg_restore", "psql", "createdb"];

/** Where PostgreSQL is installed with its tools, which the embedded one comes without. */
export function findPostgres() {
  const debian = "/usr/lib/postgresql";
  const versions = existsSync(debian) ? readdirSync(debian).sort((a, b) => Number(b) - Number(a)) : [];
  const folders = versions.map((version) => join(debian, version, "bin"));
  return [...folders, ...(process.env.PATH ?? "").split(delimiter)].find((folder) =>
    programs.every((program) => existsSync(join(folder, program))),
  );
}
