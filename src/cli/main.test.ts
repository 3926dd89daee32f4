import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runCli } from "../testing/cli.ts";
import { useTestDatabase } from "../testing/database.ts";

// Every step starts a process of its own, which takes seconds on a busy machine.

const database = useTestDatabase();
let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "holdfast-cli-"));
});
afterAll(() => rm(directory, { recursive: true }));

const holdfast = (...args: string[]) => runCli(args, { HOLDFAST_DATABASE_URL: database.url }, directory);
const file = (name: string, content: string | Buffer) => writeFile(join(directory, name), content);

// biome-ignore lint/suspicious/noExplicitAny: each test knows what it asked for.
async function query(sql: string): Promise<any[]> {
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

async function onHand(): Promise<Record<string, number>> {
  const rows = await query("select store_id || '/' || sku as key, quantity_on_hand from inventory.stock");
  return Object.fromEntries(rows.map(({ key, quantity_on_hand }) => [key, quantity_on_hand]));
}

async function logged(): Promise<number> {
  const [row] = await query(
    "select (select count(*) from inventory.log) + (select count(*) from catalog.log) as batches",
  );
  return Number(row.batches);
}

describe("holdfast", () => {
  it("shows what there is", async () => {
    const { code, stdout } = await holdfast("--help");
    expect(code).toBe(0);
    for (const command of [
      "start",
      "migrate",
      "config",
      "keys",
      "import",
      "export",
      "verify",
      "doctor",
      "demo",
      "consumers",
      "dead-letters",
    ]) {
      expect(stdout).toContain(`  ${command}`);
    }
  });

  it("refuses an unknown command and a wrong value by name, and tells of an unknown setting", async () => {
    const command = await holdfast("strat");
    expect([command.code, command.stderr]).toEqual([1, expect.stringContaining("Did you mean start?")]);
    const wrong = await runCli(["config"], { HOLDFAST_PORT: "many" }, directory);
    expect(wrong.code).toBe(1);
    expect(wrong.stderr).toContain('HOLDFAST_PORT got "many", wants a whole number');
    expect(wrong.stderr).not.toContain("    at ");
    const unknown = await runCli(["config"], { HOLDFAST_PROT: "1" }, directory);
    expect(unknown.code).toBe(0);
    expect(unknown.stderr).toContain("HOLDFAST_PROT is not a setting (did you mean HOLDFAST_PORT?)");
  });

  it("shows the configuration with secrets masked", async () => {
    const env = { HOLDFAST_DATABASE_URL: "postgres://shop:s3cret@db:5432/shop", HOLDFAST_PORT: "7500" };
    const { stdout } = await runCli(["config"], env, directory);
    expect(stdout).toMatch(/HOLDFAST_PORT +7500 +environment/);
    expect(stdout).toMatch(/HOLDFAST_LOW_STOCK_THRESHOLD +5 +default/);
    expect(stdout).toContain("postgres://shop:***@db:5432/shop");
    expect(stdout).not.toContain("s3cret");
  });

  it("says in one line that the database refuses it", async () => {
    const url = new URL(database.url);
    url.pathname = "nowhere";
    const { code, stderr } = await runCli(["verify"], { HOLDFAST_DATABASE_URL: url.href }, directory);
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /^holdfast: The database .*\/nowhere cannot be used: .*HOLDFAST_DATABASE_URL\.\n$/,
    );
    expect(stderr).not.toContain(url.password);
  });

  it("says in one line that there can be no data directory", async () => {
    await file("occupied", "");
    for (const path of ["occupied", "occupied/data", "/proc/holdfast"]) {
      const { code, stderr } = await runCli(["start"], { HOLDFAST_DATA_DIR: path }, directory);
      expect(code).toBe(1);
      expect(stderr).toMatch(/^holdfast: The data directory .* cannot be made: .* HOLDFAST_DATA_DIR\.$/m);
      expect(stderr).not.toContain("    at ");
    }
  });

  it("says what to do when there are no tables yet", async () => {
    const { code, stderr } = await holdfast("export", "stock");
    expect([code, stderr]).toEqual([1, expect.stringContaining("Run `holdfast migrate`")]);
    const verify = await holdfast("verify");
    expect([verify.code, verify.stderr]).toEqual([1, expect.stringContaining("Run `holdfast migrate`")]);
  });

  it("migrates once", async () => {
    expect((await holdfast("migrate")).stdout).toContain("applied inventory: 0001");
    expect((await holdfast("migrate")).stdout).toBe("The database is up to date.\n");
  });

  it("makes, lists and revokes keys", async () => {
    const created = await holdfast("keys", "create", "shop", "--scope", "sell", "read");
    expect(created.stdout).toMatch(/^hf_\S{43}\n$/);
    const [, id] = /^(\S{36}) +shop /m.exec((await holdfast("keys", "list")).stdout)!;
    expect((await holdfast("keys", "revoke", id!)).code).toBe(0);
    expect((await holdfast("keys", "list")).stdout).toMatch(/shop .*Z +\d{4}-.*Z$/m);
    expect((await holdfast("keys", "revoke", "nobody")).stderr).toContain(
      "There is no key with the id nobody",
    );
    expect((await holdfast("keys", "create", "x", "--scope", "root")).stderr).toContain(
      "Allowed choices are",
    );
  });

  it.each(["", "x".repeat(65), "two\nlines"])("makes no key named %j", async (name) => {
    const { code, stdout, stderr } = await holdfast("keys", "create", name, "--scope", "read");
    expect([code, stdout]).toEqual([1, ""]);
    expect(stderr).toContain("It takes 1 to 64 printable characters.");
    expect(stderr).not.toContain("    at ");
  });
});

describe("import and export", () => {
  const products = [
    "product_id,name,sku,price_minor,currency",
    'wrap,"Wrap, ""carousel""",WRAP-A,42,EUR',
    'wrap,"Wrap, ""carousel""",WRAP-B,43,EUR',
    "tea,Größe ☕ 茶,TEA 100 g,250,EUR",
    "",
  ].join("\r\n");

  it("takes products, the SKUs of one product from rows that follow each other", async () => {
    await file("products.csv", products);
    expect(await holdfast("import", "products", "products.csv")).toMatchObject({
      code: 0,
      stdout: "2 imported.\n",
    });
    expect(
      await query("select id, name, json_array_length(skus) as skus from catalog.products order by id"),
    ).toEqual([
      { id: "tea", name: "Größe ☕ 茶", skus: 1 },
      { id: "wrap", name: 'Wrap, "carousel"', skus: 2 },
    ]);
  });

  it("takes counts, gzipped too, and a second run changes nothing", async () => {
    await file(
      "stock.csv.gz",
      gzipSync("\ufeffsku,quantity_on_hand,store_id\nWRAP-A,7,\nTEA 100 g,12,main\nWRAP-A,3,north\n"),
    );
    expect(await holdfast("import", "stock", "stock.csv.gz")).toMatchObject({
      code: 0,
      stdout: "3 imported.\n",
    });
    expect(await onHand()).toMatchObject({ "main/WRAP-A": 7, "main/TEA 100 g": 12, "north/WRAP-A": 3 });

    const before = await logged();
    expect((await holdfast("import", "stock", "stock.csv.gz")).code).toBe(0);
    expect((await holdfast("import", "products", "products.csv")).code).toBe(0);
    expect(await logged()).toBe(before);
  });

  const bad = [
    "store_id,sku,quantity_on_hand",
    "main,WRAP-B,5",
    "main,NOBODY,1",
    "main,WRAP-A,many",
    "main,WRAP-A",
    'main,WR"AP,1',
    ",,1",
    "main,WRAP-B,6",
    "main,TEA 100 g,2147483648",
  ].join("\n");

  it("tells every bad row by its line, and changes nothing at all", async () => {
    await file("bad.csv", bad);
    const before = await logged();
    const { code, stderr } = await holdfast("import", "stock", "bad.csv");
    expect(code).toBe(1);
    for (const told of [
      /^line 3: .*NOBODY/m,
      /^line 4: quantity_on_hand is "many", wanted is a whole number/m,
      /^line 5: 2 fields, but the header names 3/m,
      /^line 6: a quote inside the unquoted field WR"AP/m,
      /^line 7: sku /m,
      /^line 8: WRAP-B in main was counted in line 2/m,
      /^line 9: quantity_on_hand is "2147483648"/m,
      /^holdfast: 7 cannot be imported, as told above\. Nothing was changed\.$/m,
    ]) {
      expect(stderr).toMatch(told);
    }
    expect(stderr).not.toContain("line 2:");
    expect(await logged()).toBe(before);
  });

  it("keeps the good rows with --partial, and still fails", async () => {
    const { code, stderr } = await holdfast("import", "stock", "bad.csv", "--partial");
    expect([code, stderr]).toEqual([
      1,
      expect.stringContaining("7 cannot be imported, as told above. 1 imported."),
    ]);
    expect(await onHand()).toMatchObject({ "main/WRAP-B": 5 });
  });

  it("refuses a count below what is reserved before anything is changed", async () => {
    await query(
      `with held as (insert into inventory.reservations (id, status, lines, expires_at, sweep_at, created_at, updated_at, positions)
         values ('r1', 'held', '[{"store_id":"north","sku":"WRAP-A","quantity":2,"quantity_committed":0}]',
                 now() + interval '1 hour', now() + interval '1 hour', now(), now(), '{1}'))
       update inventory.stock set quantity_reserved = 2, quantity_available = quantity_on_hand - 2
       where sku = 'WRAP-A' and store_id = 'north'`,
    );
    await file("cut.csv", "store_id,sku,quantity_on_hand\nmain,WRAP-A,9\nnorth,WRAP-A,1\n");
    const { stderr } = await holdfast("import", "stock", "cut.csv");
    expect(stderr).toContain("line 3: WRAP-A in north can be cut by 1 at most, not by 2.");
    expect(await onHand()).toMatchObject({ "main/WRAP-A": 7 });
  });

  it("proves by verify that this reservation was not made by Holdfast", async () => {
    const { code, stdout } = await holdfast("verify", "--json");
    expect(code).toBe(1);
    const broken = JSON.parse(stdout).filter(
      ({ violations }: { violations: string[] }) => violations.length > 0,
    );
    expect(JSON.stringify(broken)).toContain("WRAP-A");
  });

  it("refuses products whose SKUs or rows are torn apart", async () => {
    const torn = [
      "product_id,name,sku,price_minor,currency",
      "p1,One,S1,1,EUR",
      "p2,Two,S2,1,EUR",
      "p1,One,S3,1,EUR",
      "p3,Three,S2,1,EUR",
      "p4,Four,S4,1.5,EUR",
      "p4,Four,S5,1,EUR",
      "p5,Five,WRAP-A,1,EUR",
      "p6,,S6,1,EUR",
    ].join("\n");
    await file("torn.csv", torn);
    const { code, stderr } = await holdfast("import", "products", "torn.csv");
    expect(code).toBe(1);
    expect(stderr).toMatch(/^line 4: the rows of p1 must follow each other; it began in line 2/m);
    expect(stderr).toMatch(/^line 5: the SKU S2 stood in line 3 already/m);
    expect(stderr).toMatch(/^line 6: price_minor is "1.5"/m);
    expect(stderr).toMatch(/^line 6: the product p4 is left out/m);
    expect(stderr).toMatch(/^line 8: WRAP-A belongs to the product wrap/m);
    expect(stderr).toMatch(/^line 9: name /m);
  });

  it("takes a retailer's list of SKUs with prices", async () => {
    await file("retail.csv", 'sku,name,unit_price\nBANK CHARGES,,0.0\n16156L,"WRAP, CAROUSEL",0.29\n');
    expect((await holdfast("import", "products", "retail.csv")).code).toBe(0);
    const rows = await query(
      "select id, name, skus from catalog.products where skus::text like '%GBP%' order by id",
    );
    expect(rows).toMatchObject([
      { id: "16156L", name: "WRAP, CAROUSEL", skus: [{ sku: "16156L", price_minor: 29 }] },
      { id: expect.stringMatching(/^BANK-CHARGES-[0-9a-f]{8}$/), name: "BANK CHARGES" },
    ]);
  });

  it("exports what can be imported again", async () => {
    await holdfast("export", "products", "out.csv.gz");
    await holdfast("export", "stock", "out.csv");
    const written = gunzipSync(await readFile(join(directory, "out.csv.gz"))).toString();
    expect(written).toContain('wrap,"Wrap, ""carousel""",WRAP-A,42,EUR\r\n');
    expect((await holdfast("export", "products")).stdout).toBe(written);
    expect((await holdfast("export", "reservations")).stdout).toContain("r1,held,,,north,WRAP-A,2,0,2");

    const before = await logged();
    expect(await holdfast("import", "products", "out.csv.gz")).toMatchObject({ code: 0 });
    expect(await holdfast("import", "stock", "out.csv")).toMatchObject({ code: 0 });
    expect(await logged()).toBe(before);
  });

  it.each([
    ["absent.csv", undefined, "absent.csv does not exist."],
    ["latin1.csv", Buffer.from([0x73, 0x6b, 0x75, 0x0a, 0xe9, 0x0a]), "latin1.csv is not UTF-8"],
    ["plain.csv.gz", "sku,quantity_on_hand\n", "plain.csv.gz is not a gzip file"],
    ["empty.csv", "", "The file is empty. Wanted: store_id?,sku,quantity_on_hand"],
    ["header.csv", "store,sku,quantity_on_hand\n", "Line 1 must name the columns, and has: store,sku"],
    ["open.csv", 'sku,quantity_on_hand\n"A,1\nB,2\n', "Line 2: a quoted field is not closed"],
  ])("says what is wrong with %s", async (name, content, told) => {
    if (content !== undefined) await file(name, content);
    const { code, stderr } = await holdfast("import", "stock", name);
    expect([code, stderr]).toEqual([1, expect.stringContaining(told)]);
    expect(stderr).not.toContain("    at ");
  });
});

describe("doctor", () => {
  it("finds this set-up fine but for the durability that tests do without", async () => {
    const { code, stdout } = await holdfast("doctor");
    expect(stdout).toMatch(/^✓ Node.js /m);
    expect(stdout).toMatch(/^✓ PostgreSQL 1\d/m);
    expect(stdout).toMatch(/^✗ fsync.*: off/m);
    expect(code).toBe(1);
  });

  it("names wrong settings, an unreachable database, and a host that needs keys", async () => {
    const wrong = await runCli(["doctor"], { HOLDFAST_PORT: "lots" }, directory);
    expect([wrong.code, wrong.stdout]).toEqual([1, expect.stringContaining("HOLDFAST_PORT got")]);
    const away = { HOLDFAST_DATABASE_URL: "postgres://shop@127.0.0.1:1/shop" };
    expect((await runCli(["doctor"], away, directory)).stdout).toContain("✗ The database cannot be reached");
    const nobody = { HOLDFAST_BUS: "kafka", HOLDFAST_KAFKA_BROKERS: "127.0.0.1:1" };
    const unanswered = await runCli(["doctor"], nobody, directory);
    expect(unanswered.stdout).toContain("✗ kafka does not answer: connect ECONNREFUSED 127.0.0.1:1");
    expect(unanswered.code).toBe(1);
  });
});
