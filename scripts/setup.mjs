// Makes a fresh clone ready to run: dependencies and dist/, each only when it is missing or out of date.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build, isBuilt } from "./build.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const modules = join(root, "node_modules");
// npm's own record of what is installed is no proof that all of it is there.
const stamp = join(modules, ".holdfast-setup");

/** Ends the process with a message that says what to do when something is in the way. */
export function setUp(wanted) {
  try {
    checkNode();
    if (!isInstalled()) install();
    if (wanted.build && !isBuilt()) {
      console.log("Building …");
      build();
    }
  } catch (error) {
    console.error(error.message);
    process.exit(1);
  }
}

function checkNode() {
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (major > 20 || (major === 20 && minor >= 19)) return;
  throw new Error(
    `Holdfast needs Node.js 20.19 or newer, and this is ${process.versions.node}: see nodejs.org.`,
  );
}

function isInstalled() {
  return existsSync(stamp) && readFileSync(stamp, "utf8") === wantedInstallation();
}

function wantedInstallation() {
  const lock = createHash("sha256")
    .update(readFileSync(join(root, "package-lock.json")))
    .digest("hex");
  return `${lock} ${process.platform}-${process.arch}\n`;
}

function install() {
  const before = existsSync(stamp) ? "they have changed" : "first run";
  console.log(`Installing dependencies (${before}, about 20 s) …`);
  const installation = wantedInstallation();
  // Settings such as NODE_ENV=production would leave out parts.
  const options = ["ci", "--include=dev", "--include=optional", "--loglevel=error"];
  const npm = spawnSync("npm", options, {
    cwd: root,
    encoding: "utf8",
    shell: process.platform === "win32",
  });
  if (npm.status !== 0) {
    const reason = npm.stderr || npm.error?.message || "npm was interrupted.";
    throw new Error(
      `${reason.trim()}\n\nInstalling failed. Put right what npm says above, then start again.`,
    );
  }
  writeFileSync(stamp, installation);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) setUp({ build: true });
