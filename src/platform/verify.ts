import { withCommas } from "../kernel/number.ts";
import type { Pool } from "./postgres/pool.ts";
import { onSnapshots } from "./postgres/snapshot.ts";
import type { Finding, Service } from "./service.ts";

/** The services that keep their tables in one database. */
export interface Housed {
  readonly pool: Pool;
  readonly services: readonly Service[];
}

/** What is found of a database is of one moment; other databases are looked at as they are right after that. */
export async function verifyServices(
  parts: readonly Housed[],
  onProgress: (message: string) => void,
): Promise<Finding[]> {
  return onSnapshots(
    parts.map(({ pool }) => pool),
    async (databases) => {
      const findings: Finding[] = [];
      for (const [index, { services }] of parts.entries()) {
        const database = databases[index]!;
        const elsewhere = databases.filter((other) => other !== database);
        for (const service of services)
          findings.push(...(await service.verify(database, onProgress, elsewhere)));
      }
      return findings.map(shortened);
    },
  );
}

const violationsShown = 20;

function shortened(finding: Finding): Finding {
  const { violations } = finding;
  const left = violations.length - violationsShown;
  if (left <= 0) return finding;
  return {
    ...finding,
    violations: [...violations.slice(0, violationsShown), `and ${withCommas(left)} more`],
  };
}
