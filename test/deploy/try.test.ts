import { expect, it } from "vitest";
import { query } from "../../src/testing/embedded-postgres.ts";
import { violations } from "../server-process.ts";
import { WholeServer } from "../whole-server.ts";
import { findPostgres, OwnPostgres } from "./own-postgres.ts";

it("try", async () => {
  const pg = await OwnPostgres.start((await findPostgres())!);
  try {
    await query(pg.urlOf("postgres"), "create database shop");
    const a = await WholeServer.start(pg.urlOf("shop"));
    await a.stock("MUG", 100_000);
    let n = 0, stop = false;
    const clients = Array.from({ length: 6 }, async () => {
      while (!stop) await a.order(`o-${n++}`, { sku: "MUG", wait: 0 }).catch((e) => console.log(e.message));
    });
    await new Promise((r) => setTimeout(r, 1500));
    console.time("dump");
    await pg.tool("pg_dump", "--format=custom", `--file=${pg.file("d")}`, pg.urlOf("shop"));
    console.timeEnd("dump");
    console.log("after dump", n);
    await new Promise((r) => setTimeout(r, 1000));
    stop = true; await Promise.all(clients);
    await a.stop();
    await query(pg.urlOf("postgres"), "create database restored");
    await pg.tool("pg_restore", "--exit-on-error", "--no-owner", `--dbname=${pg.urlOf("restored")}`, pg.file("d"));
    console.log("orders", await query(pg.urlOf("shop"), "select count(*) from orders.orders"), await query(pg.urlOf("restored"), "select count(*) from orders.orders"), await query(pg.urlOf("restored"), "select count(*) from orders.orders where ended_as is null"));
    console.log(await violations(pg.urlOf("restored")));
    await pg.tool("psql", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1", "--file=deploy/postgres/after-restore.sql", pg.urlOf("restored"));
    const b = await WholeServer.start(pg.urlOf("restored"));
    console.log("first", (await b.order("new-1", { sku: "MUG" })).body);
    console.log(JSON.stringify((await b.ask("GET", "/v1/consumers")).body.items.slice(0, 4)));
    const t = Date.now();
    for (;;) { const left = await query(pg.urlOf("restored"), "select count(*) from orders.orders where ended_as is null"); console.log("left", left, Date.now() - t); if (Number(left[0]) === 0 || Date.now() - t > 20000) break; await new Promise((r) => setTimeout(r, 500)); }
    console.log((await b.ask("GET", "/v1/dead-letters")).body);
    console.log(b.log.filter((l) => ["warn", "error"].includes(String(l.level))).slice(0, 10).map((l) => JSON.stringify(l).slice(0, 400)));
    console.log("metrics", (await b.ask("GET", "/metrics")).body.split("\n").filter((l: string) => /^kafka_consumer_lag|^log_part/.test(l)).slice(0, 12));
    await b.stop();
    console.log(await violations(pg.urlOf("restored")));
    expect(1).toBe(1);
  } finally { await pg.stop(); }
}, 120_000);
