import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { describeWith } from "../src/testing/tools.ts";

const policy = "/usr/sbin/policy-rc.d";
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "holdfast-tools-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** Finds programs in this folder alone. */
function install(PATH = folder) {
  const env = { PATH, XDG_CACHE_HOME: folder };
  return spawnSync(process.execPath, ["scripts/install-tools.mjs"], { env, encoding: "utf8" });
}

/** Keeps what it was asked for, and what would keep services from starting at that moment. */
function pretendAptGet(status: number): string {
  const asked = join(folder, "asked");
  writeFileSync(
    join(folder, "apt-get"),
    `#!/bin/sh\necho "$*" >> ${asked}\n/bin/cat ${policy} >> ${asked}\nexit ${status}\n`,
  );
  chmodSync(join(folder, "apt-get"), 0o755);
  return asked;
}

describe("with apt-get", () => {
  const isRoot = process.getuid?.() === 0;
  const hasPolicy = existsSync(policy);

  it("asks for all that is missing at once, and lets no service start meanwhile", () => {
    const asked = pretendAptGet(0);
    const { status, stderr } = install();
    if (!isRoot) return expect(stderr).toContain("as root");
    const text = readFileSync(asked, "utf8");
    expect(text).toMatch(/^update --quiet$/m);
    expect(text).toMatch(
      /^install --no-install-recommends --yes default-jre-headless maven rabbitmq-server prometheus\b/m,
    );
    expect(text.match(/^exit 101$/gm)).toHaveLength(2);
    expect(existsSync(policy)).toBe(hasPolicy);
    expect(status, "it was only pretended").toBe(1);
    expect(stderr).toContain("mvn");
  });

  it("says what could not be installed", () => {
    pretendAptGet(100);
    const { status, stderr } = install();
    if (!isRoot) return expect(stderr).toContain("as root");
    expect([status, stderr]).toEqual([1, expect.stringContaining("`apt-get update --quiet` failed")]);
    expect(existsSync(policy)).toBe(hasPolicy);
  });
});

it("says what to do where it cannot install", () => {
  const { status, stderr } = install();
  expect(status).toBe(1);
  expect(stderr).toMatch(/^The tests need default-jre-headless, maven, rabbitmq-server, prometheus/);
  expect(stderr).toContain("as root");
});

describeWith("kafka")("where everything is there", () => {
  it("is done at once", () => {
    const env = process.env;
    const { status, stdout } = spawnSync(process.execPath, ["scripts/install-tools.mjs"], {
      env,
      encoding: "utf8",
    });
    expect([status, stdout]).toEqual([0, expect.stringContaining("are there: kafka, rabbitmq, promtool")]);
  });
});
