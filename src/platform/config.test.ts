import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { describeConfig, environmentName, loadConfig } from "./config.ts";
import { InfrastructureError } from "./errors.ts";
import { Retention, type SettingKey, serviceNames, settings } from "./settings.ts";

let cwd: string;
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), "holdfast-config-"));
});
afterEach(() => rmSync(cwd, { recursive: true }));

const writeFile = (content: unknown, name = "holdfast.json") =>
  writeFileSync(join(cwd, name), typeof content === "string" ? content : JSON.stringify(content));

function refusal(env: Record<string, string>): string {
  try {
    loadConfig(env, cwd);
  } catch (error) {
    expect(error).toBeInstanceOf(InfrastructureError);
    expect(error).toMatchObject({ code: "config.invalid", retryable: false });
    return (error as Error).message;
  }
  throw new Error("the configuration was accepted");
}

describe("loadConfig", () => {
  it("falls back to defaults that satisfy their own schema", () => {
    const { config, sources } = loadConfig({}, cwd);
    expect(config).toMatchObject({
      host: "127.0.0.1",
      port: 7400,
      services: serviceNames,
      demo: true,
    });
    expect(config.databaseUrl).toBeUndefined();
    expect(new Set(Object.values(sources))).toEqual(new Set(["default"]));
    for (const key of Object.keys(settings) as SettingKey[]) {
      const { schema, default: value } = settings[key];
      // Not everything prints as it is: a retention is an object of its own.
      const given = value instanceof Retention ? String(value) : value;
      if (value !== undefined)
        expect(schema.safeParse(given), key).toMatchObject({ success: true, data: value });
      expect(schema.description, key).toBeTruthy();
    }
  });

  it("keeps the logs for days, of each service or of one", () => {
    const { config } = loadConfig({ HOLDFAST_RETENTION_DAYS: "14, inventory=365" }, cwd);
    expect(config.retentionDays.daysOf("orders")).toBe(14);
    expect(config.retentionDays.daysOf("inventory")).toBe(365);
    expect(refusal({ HOLDFAST_RETENTION_DAYS: "14,stock=3" })).toContain("days such as 30");
  });

  it("lets the environment beat the file and the file beat the default", () => {
    writeFile({ port: 1000, hold_ttl_seconds: 60, demo: false, services: ["inventory"] });
    const { config, sources } = loadConfig({ HOLDFAST_PORT: "0" }, cwd);
    expect(config).toMatchObject({ port: 0, holdTtlSeconds: 60, demo: false, services: ["inventory"] });
    expect(sources).toMatchObject({ port: "environment", holdTtlSeconds: "file", host: "default" });
  });

  it("reads the file that HOLDFAST_CONFIG names, and insists that it exists", () => {
    writeFile({ port: 4242 }, "other.json");
    expect(loadConfig({ HOLDFAST_CONFIG: "other.json" }, cwd).config.port).toBe(4242);
    expect(refusal({ HOLDFAST_CONFIG: "missing.json" })).toContain("missing.json cannot be read");
  });

  it("takes an empty variable as not set", () => {
    expect(loadConfig({ HOLDFAST_DATABASE_URL: "", HOLDFAST_PORT: "" }, cwd).config.port).toBe(7400);
  });

  it("names every bad setting with what it got and what it wants", () => {
    const message = refusal({
      HOLDFAST_PORT: "70000",
      HOLDFAST_HOLD_TTL_SECONDS: "12.5",
      HOLDFAST_SERVICES: "inventory,catalogue",
      HOLDFAST_DEMO: "perhaps",
      HOLDFAST_LOG_LEVEL: "loud",
    });
    expect(message).toContain('HOLDFAST_PORT got "70000", wants a whole number from 0 to 65535');
    expect(message).toContain(
      'HOLDFAST_HOLD_TTL_SECONDS got "12.5", wants a whole number from 1 to 31536000',
    );
    expect(message).toContain(
      'HOLDFAST_SERVICES got "inventory,catalogue", wants a comma-separated list out of',
    );
    expect(message).toContain('HOLDFAST_DEMO got "perhaps", wants true or false');
    expect(message).toContain('HOLDFAST_LOG_LEVEL got "loud", wants one of fatal');
  });

  it("never prints a secret", () => {
    expect(refusal({ HOLDFAST_DATABASE_URL: "mysql://root:hunter2@db" })).not.toContain("hunter2");
    writeFile('{"database_url": hunter2');
    expect(refusal({})).not.toContain("hunter2");
  });

  it("warns of unknown variables, which may not be meant for us, and suggests the nearest", () => {
    const env = { HOLDFAST_PROT: "1", HOLDFAST_SERVICE_HOST: "10.0.0.1", HOLDFAST_TEST_DATABASE: "ours" };
    expect(loadConfig(env, cwd).warnings).toEqual([
      "HOLDFAST_PROT is not a setting (did you mean HOLDFAST_PORT?) and is ignored",
      expect.stringMatching(/^HOLDFAST_SERVICE_HOST is not a setting/),
    ]);
  });

  it("refuses unknown names in the file, which is ours alone, and suggests the nearest", () => {
    writeFile({ databse_url: "x", colour: "red" });
    const message = refusal({});
    expect(message).toContain(
      '"databse_url" in the configuration file is not a setting (did you mean database_url?)',
    );
    expect(message).toMatch(/"colour" in the configuration file is not a setting$/m);
  });

  it("refuses a file that is no JSON object", () => {
    writeFile([1]);
    expect(refusal({})).toContain("must hold one JSON object");
  });
});

describe("describeConfig", () => {
  it("shows value and source, and masks passwords wherever the URL carries them", () => {
    const url = "postgres://shop:hunter2@db:5432/shop?password=hunter3";
    const rows = describeConfig(loadConfig({ HOLDFAST_DATABASE_URL: url }, cwd));
    expect(rows).toContainEqual({
      name: "HOLDFAST_DATABASE_URL",
      value: "postgres://shop:***@db:5432/shop",
      source: "environment",
    });
    expect(rows).toContainEqual({ name: "HOLDFAST_PORT", value: "7400", source: "default" });
    expect(rows).toContainEqual({ name: "HOLDFAST_RATE_LIMIT_PER_MINUTE", value: "", source: "default" });
  });

  it("spells names as the environment does", () => {
    expect(environmentName("holdTtlSeconds")).toBe("HOLDFAST_HOLD_TTL_SECONDS");
  });
});
