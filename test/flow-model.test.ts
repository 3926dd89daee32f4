import fc from "fast-check";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { migrationsOf } from "../src/engine.ts";
import { migrate } from "../src/platform/postgres/migrate.ts";
import { createPool, type Pool } from "../src/platform/postgres/pool.ts";
import { serviceNames } from "../src/platform/settings.ts";
import { useTestDatabase } from "../src/testing/database.ts";
import { installClock } from "../src/testing/flow/clock.ts";
import { comeToAnEnd } from "../src/testing/flow/end.ts";
import { Flow } from "../src/testing/flow/flow.ts";
import { allIsWell, neverOversold } from "../src/testing/flow/promises.ts";
import { shorten } from "../src/testing/flow/shorten.ts";
import { anyRun, type Run, take } from "../src/testing/flow/steps.ts";
import { Random, seededRandom } from "../src/testing/random.ts";

const numRuns = 25;
const shortenForMs = 60_000;

const database = useTestDatabase();
let pool: Pool;

beforeAll(async () => {
  await migrate(database.url, migrationsOf("postgres", serviceNames));
  const first = createPool(database.url, { max: 1, name: "test" });
  await installClock(first);
  await first.end();
  pool = createPool(database.url, { max: 8, name: "test" });
});
afterAll(() => pool?.end());

it("every order ends as it should, in whatever order, how often and by whom things are heard", async () => {
  const seed = seededRandom().integer(0, 2 ** 31 - 1);
  for (const run of fc.sample(anyRun, { seed, numRuns })) {
    if ((await troubleWith(run)) === undefined) continue;
    expect.fail(await shorten(run, troubleWith, shortenForMs));
  }
});

/** The story of what went wrong; undefined when the promises hold. */
async function troubleWith({ settings, onHand, steps }: Run): Promise<string | undefined> {
  const random = new Random(steps.length);
  const chance = vi.spyOn(Math, "random").mockImplementation(() => random.integer(0, 999_999) / 1_000_000);
  const flow = await Flow.open(pool, settings, onHand);
  try {
    for (const step of steps) {
      await take(flow, step);
      await flow.deliveries.look();
      none(await neverOversold(flow));
    }
    await comeToAnEnd(flow);
    none(await neverOversold(flow));
    none(await allIsWell(flow));
    return undefined;
  } catch (error) {
    return storyOf(flow, onHand, error as Error);
  } finally {
    await flow.close();
    chance.mockRestore();
  }
}

function none(complaints: readonly string[]): void {
  if (complaints.length > 0) throw new Error(complaints.join("\n"));
}

function storyOf(flow: Flow, onHand: number, { message }: Error): string {
  const start = `${onHand} of each on hand, ${JSON.stringify(flow.settings)}`;
  return named([start, ...flow.story, message].join("\n"));
}

/** Ids are long, and others in every run. */
function named(story: string): string {
  const names = new Map<string, string>();
  return story.replaceAll(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, (id) => {
    if (!names.has(id)) names.set(id, `#${names.size + 1}`);
    return names.get(id)!;
  });
}
