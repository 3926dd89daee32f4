// Packages of Debian and Ubuntu: what brokers and tests need beyond npm.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";

export function hasProgram(name) {
  return (process.env.PATH ?? "").split(delimiter).some((folder) => existsSync(join(folder, name)));
}

/** As root, and without starting a service. Throws with what to do where that cannot be done: `what` begins it. */
export function installPackages(packages, what) {
  const install = ["install", "--no-install-recommends", "--yes", ...packages];
  if (process.getuid?.() !== 0 || !hasProgram("apt-get")) {
    throw new Error(
      `${what}. On Debian and Ubuntu run \`apt-get ${install.join(" ")}\` as root, elsewhere install them in your ` +
        "system's way; then start again.",
    );
  }
  withoutServices(() => {
    apt(["update", "--quiet"]);
    apt(install);
  });
}

function apt(words) {
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  const { status } = spawnSync("apt-get", words, { stdio: ["ignore", "inherit", "inherit"], env });
  if (status !== 0) throw new Error(`\`apt-get ${words.join(" ")}\` failed: put right what it says above.`);
}

const policy = "/usr/sbin/policy-rc.d";
const nothingStarts = "#!/bin/sh\n# Made while Holdfast's tools are installed.\nexit 101\n";

/** The packages would start servers for everybody at once, on their usual ports. */
function withoutServices(work) {
  // One that we were interrupted with is ours still.
  if (existsSync(policy) && readFileSync(policy, "utf8") !== nothingStarts) return work();
  writeFileSync(policy, nothingStarts, { mode: 0o755 });
  try {
    work();
  } finally {
    rmSync(policy);
  }
}
