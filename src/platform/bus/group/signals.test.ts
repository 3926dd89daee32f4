import { expect, it, onTestFinished } from "vitest";
import { useTestDatabase } from "../../../testing/database.ts";
import { createPool } from "../../postgres/pool.ts";
import { createLogger } from "../../telemetry/logger.ts";
import { Signals } from "./signals.ts";

const database = useTestDatabase();

it.each(["ping", "", "null", "[]", '{"appended":[1],"groups":[]}', '{"appended":[]}'])(
  "looks for itself what has happened when somebody notifies with %j",
  async (payload) => {
    const pool = createPool(database.url, { max: 2, name: "test" });
    let looks = 0;
    const heard: string[] = [];
    const options = {
      url: database.url,
      pool,
      logger: createLogger("silent"),
      onAppended: () => {},
      onGroups: (groups: readonly string[]) => heard.push(...groups),
      onGap: () => looks++,
    };
    const [signals, other] = [new Signals(options), new Signals(options)];
    onTestFinished(async () => {
      await Promise.all([signals.stop(), other.stop()]);
      await pool.end();
    });
    await signals.start();
    expect(looks).toBe(1);
    await pool.query("select pg_notify('holdfast_log', $1)", [payload]);
    await expect.poll(() => looks).toBe(2);
    other.tellGroups(["orders"]);
    await expect.poll(() => heard).toEqual(["orders"]);
  },
);
