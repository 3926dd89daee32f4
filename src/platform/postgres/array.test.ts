import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { useTestDatabase } from "../../testing/database.ts";
import { arrayLiteral } from "./array.ts";
import { createPool, type Pool } from "./pool.ts";

const database = useTestDatabase();
let pool: Pool | undefined;
afterAll(() => pool?.end());

async function read(type: string, values: readonly unknown[]): Promise<unknown[]> {
  pool ??= createPool(database.url, { max: 1, name: "array" });
  const { rows } = await pool.query({
    name: `array_${type}`,
    text: `select v from unnest($1::${type}[]) with ordinality as t (v, n) order by n`,
    values: [arrayLiteral(values)],
  });
  return rows.map(({ v }) => v);
}

describe("an array for PostgreSQL", () => {
  it("holds any text", async () => {
    const strange = [
      "",
      "null",
      "NULL",
      "Null",
      "a,b",
      "{}",
      '"',
      "\\",
      ' " \\ ',
      "Größe ☕ 日本",
      "\n",
      "a b",
      "-1",
    ];
    expect(await read("text", [...strange, null])).toEqual([...strange, null]);
    const text = fc.string({ unit: "grapheme" }).filter((s) => !s.includes("\u0000"));
    await fc.assert(
      fc.asyncProperty(fc.array(text), async (texts) => {
        expect(await read("text", texts)).toEqual(texts);
      }),
    );
  });

  it.each([
    ["integer", [0, -1, 2_147_483_647, null]],
    ["bigint", [Number.MAX_SAFE_INTEGER, 0]],
    ["boolean", [true, false, null]],
    [
      "timestamptz",
      [new Date(0), new Date("2026-02-28T23:59:59.999Z"), new Date("1999-12-31T23:00:00Z"), null],
    ],
    ["json", [{ a: 'b"c\\', d: [1, { e: null }] }, { f: "ü" }]],
  ])("holds values of the type %s", async (type, values) => {
    expect(await read(type, values)).toEqual(values);
  });
});
