import { describeBus } from "../../../testing/bus-contract.ts";
import { createLogger } from "../../telemetry/logger.ts";
import { createRegistry } from "../../telemetry/metrics.ts";
import { untraced } from "../../telemetry/tracer.ts";
import { createPostgresBus } from "./index.ts";

describeBus(
  "PostgreSQL",
  (setting) =>
    createPostgresBus({
      ...setting,
      logger: createLogger("silent"),
      tracer: untraced,
      registry: createRegistry(),
      pollMs: 3_600_000,
    }),
  { orders: "topic", leavesTheDatabase: false },
);
