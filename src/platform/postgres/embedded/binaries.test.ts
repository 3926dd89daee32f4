import { cp, mkdir, mkdtemp, readFile, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { accountFor } from "./account.ts";
import { packagedPrograms, usableBinaries } from "./binaries.ts";

describe("where the package is no good as it lies", () => {
  const version = `test-${process.pid}`;
  let directory: string;

  beforeEach(async () => {
    // Such a directory is 0700, so the account of a root process cannot walk it either.
    directory = await realpath(await mkdtemp(join(tmpdir(), "holdfast-binaries-")));
  });
  afterEach(async () => {
    await rm(directory, { recursive: true });
    await rm(`/var/cache/holdfast/postgresql-${version}`, { recursive: true, force: true });
  });

  /** The package as it is where npm runs no install scripts: without a single symbolic link. */
  async function packageWithoutLinks() {
    const { postgres, initdb } = await packagedPrograms();
    const source = dirname(dirname(dirname(postgres)));
    const links: { target: string }[] = JSON.parse(
      await readFile(join(source, "native/pg-symlinks.json"), "utf8"),
    );
    const missing = new Set(links.map((link) => join(source, link.target)));
    const root = join(directory, "package");
    await cp(source, root, { recursive: true, filter: (path) => !missing.has(path) });
    await writeFile(join(root, "package.json"), JSON.stringify({ version }));
    const moved = (program: string) => join(root, relative(source, program));
    return { postgres: moved(postgres), initdb: moved(initdb) };
  }

  it("runs from a copy that has the library links, made once by two starts at a time", async () => {
    const packaged = await packageWithoutLinks();
    const dataDir = join(directory, "data");
    await mkdir(dataDir);
    const account = await accountFor(dataDir);
    const find = () => usableBinaries(packaged, dataDir, account);

    const [first, second] = await Promise.all([find(), find()]);

    expect(first).toEqual(second);
    expect(first.major).toBe("18");
    expect(first.postgres).not.toBe(packaged.postgres);
  });

  it("names the way out when even a copy does not run", async () => {
    const packaged = await packageWithoutLinks();
    await writeFile(packaged.postgres, "#!/bin/sh\nexit 127\n");

    await expect(usableBinaries(packaged, directory, await accountFor(directory))).rejects.toMatchObject({
      code: "postgres.unsupported_platform",
      message: expect.stringContaining("HOLDFAST_DATABASE_URL"),
    });
  });
});

describe("on a platform without a package", () => {
  const arch = process.arch;
  beforeEach(() => Object.defineProperty(process, "arch", { value: "mips" }));
  afterEach(() => Object.defineProperty(process, "arch", { value: arch }));

  it("names the way out", async () => {
    await expect(packagedPrograms()).rejects.toMatchObject({
      code: "postgres.unsupported_platform",
      message: expect.stringContaining("HOLDFAST_DATABASE_URL"),
    });
  });
});
