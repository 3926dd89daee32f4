import { defineConfig } from "vitest/config";
import { brokerNames, isInstalled } from "./src/testing/broker-process.ts";
import { patience } from "./src/testing/patience.ts";

/** What has to come out right in every house: with all services on one database, and with each on its own. */
const flows = ["test/order-flow.test.ts", "test/races.test.ts", "src/cli/bus.test.ts"];

const houses = brokerNames.filter((name) => isInstalled(name) || process.env.CI === "true");

export default defineConfig({
  test: {
    globalSetup: ["src/testing/postgres-server.ts", "src/testing/brokers-setup.ts"],
    environment: "node",
    pool: "forks",
    maxWorkers: 2,
    // No test asserts a time: only what hangs is ended by these.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    expect: { poll: patience },
    projects: [
      {
        extends: true,
        test: {
          name: "holdfast",
          include: ["src/**/*.test.ts", "test/**/*.test.ts", "scripts/**/*.test.ts"],
          provide: { house: "together" },
        },
      },
      ...houses.map((house) => ({
        extends: true as const,
        test: {
          name: `apart, on ${house}`,
          include: flows,
          provide: { house },
        },
      })),
    ],
  },
});
