// Compiles src/ into dist/, in place: a server that runs from dist/ meanwhile loses none of its files.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const source = join(root, "src");
const output = join(root, "dist");
const stamp = join(output, ".build-stamp");
const ownFiles = [".build-stamp", ".tsbuildinfo"];

export function isBuilt() {
  return existsSync(stamp) && readFileSync(stamp, "utf8") === fingerprint();
}

export function build() {
  const builtFrom = fingerprint();
  const compiler = join(root, "node_modules/typescript/bin/tsc");
  const options = ["-p", "tsconfig.build.json", "--noEmitOnError"];
  const { status } = spawnSync(process.execPath, [compiler, ...options], { cwd: root, stdio: "inherit" });
  if (status !== 0) throw new Error("The build failed: see the errors of the compiler above.");

  const sources = new Set(sourceFiles());
  for (const file of sources) {
    if (!file.endsWith(".ts")) cpSync(join(source, file), join(output, file));
  }
  for (const file of filesBelow(output)) {
    const compiledFrom = file.replace(/(\.d\.ts|\.js|\.js\.map)$/, ".ts");
    if (!sources.has(file) && !sources.has(compiledFrom) && !ownFiles.includes(file))
      rmSync(join(output, file));
  }
  writeFileSync(stamp, builtFrom);
}

function sourceFiles() {
  return filesBelow(source).filter((file) => !file.endsWith(".test.ts") && !/^testing[\\/]/.test(file));
}

function filesBelow(directory) {
  return readdirSync(directory, { recursive: true }).filter((file) =>
    statSync(join(directory, file)).isFile(),
  );
}

function fingerprint() {
  const inputs = ["tsconfig.json", "tsconfig.build.json", "scripts/build.mjs"];
  const files = [...inputs, ...sourceFiles().map((file) => join("src", file))].sort();
  const hash = createHash("sha256");
  for (const file of files) {
    const { mtimeMs, size } = statSync(join(root, file));
    hash.update(`${file} ${mtimeMs} ${size}\n`);
  }
  return hash.digest("hex");
}

if (process.argv[1] === fileURLToPath(import.meta.url)) build();
