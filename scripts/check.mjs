// `npm run check`: everything that must be so before a change goes in. CI runs exactly this.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { setUp } from "./setup.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const scratch = mkdtempSync(join(tmpdir(), "holdfast-check-"));
const report = join(scratch, "tests.json");

const node = process.execPath;
const checks = [
  ["format and lint", node, "node_modules/@biomejs/biome/bin/biome", "check"],
  ["types", node, "node_modules/typescript/bin/tsc", "--noEmit"],
  ["dead code", node, "node_modules/knip/bin/knip.js", "--no-progress"],
  ["build", node, "scripts/build.mjs"],
  ["reference", node, "node_modules/tsx/dist/cli.mjs", "scripts/reference.ts", "--check"],
  ["tests", "npm", "test", "--", "--reporter=default", "--reporter=json", `--outputFile.json=${report}`],
];

setUp({ build: false });

// All of them are run: whoever broke two things wants to hear of both.
const results = checks.map(([name, program, ...options]) => {
  console.log(`\n── ${name} ${"─".repeat(Math.max(0, 100 - name.length))}`);
  const started = performance.now();
  const shell = program === "npm" && process.platform === "win32";
  const { status } = spawnSync(program, options, { cwd: root, stdio: "inherit", shell });
  const seconds = ((performance.now() - started) / 1_000).toFixed(1);
  return { name, passed: status === 0, seconds };
});

const tests = readReport();
rmSync(scratch, { recursive: true });
// A test that CI skips protects nobody.
if (tests === undefined || tests.failed + tests.skipped > 0) results.at(-1).passed = false;

const summary = results.map(({ name, passed, seconds }) => `${passed ? "✓" : "✗"} ${name} ${seconds} s`);
console.log(`\n${summary.join("  ")}\n`);
console.log(
  tests === undefined
    ? "The tests did not run to their end."
    : `${tests.passed} passed, ${tests.failed} failed, ${tests.skipped} skipped`,
);
process.exit(results.every(({ passed }) => passed) ? 0 : 1);

/** What the test runner itself counted; undefined when it did not get that far. */
function readReport() {
  let result;
  try {
    result = JSON.parse(readFileSync(report, "utf8"));
  } catch {
    return undefined;
  }
  // A file that cannot even be loaded has no test that failed, and yet it counts.
  const broken = result.testResults.filter(
    ({ status, assertionResults }) =>
      status === "failed" && !assertionResults.some((test) => test.status === "failed"),
  );
  return {
    passed: result.numPassedTests,
    failed: result.numFailedTests + broken.length,
    skipped: result.numPendingTests + result.numTodoTests,
  };
}
