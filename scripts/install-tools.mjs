// `node scripts/install-tools.mjs`: what the tests need beyond npm, for Debian and Ubuntu as root. CI begins with it.
import { installPackages } from "./debian.mjs";
import { tools } from "./tools.mjs";

const all = Object.entries(tools);

try {
  const packages = all.flatMap(([, tool]) => tool.packages());
  if (packages.length > 0) installPackages(packages, `The tests need ${packages.join(", ")}`);
  tools.kafka.installJars();
  const missing = all.filter(([, tool]) => !tool.isInstalled()).map(([name]) => name);
  if (missing.length > 0) throw new Error(`Still not there: ${missing.join(", ")}.`);
  console.log(`The tools of the tests are there: ${Object.keys(tools).join(", ")}.`);
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
