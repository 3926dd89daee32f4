import { expect, it } from "vitest";
import { csvLine, parseCsv } from "./csv.ts";

async function parse(text: string, chunkSize = text.length || 1) {
  async function* chunks() {
    for (let at = 0; at < text.length; at += chunkSize) yield text.slice(at, at + chunkSize);
  }
  const rows = [];
  for await (const some of parseCsv(chunks())) rows.push(...some);
  return rows;
}

it.each([1, 2, 3, 7, 100])("reads quotes, commas, line breaks and Unicode in pieces of %i", async (size) => {
  const text = 'sku,name\r\nA,"WRAP, CAROUSEL"\r\n\r\nB,"5"" disc"\r\nC,"two\nlines"\nD,Größe ☕\r\nE,';
  expect(await parse(text, size)).toEqual([
    { line: 1, fields: ["sku", "name"] },
    { line: 2, fields: ["A", "WRAP, CAROUSEL"] },
    { line: 4, fields: ["B", '5" disc'] },
    { line: 5, fields: ["C", "two\nlines"] },
    { line: 7, fields: ["D", "Größe ☕"] },
    { line: 8, fields: ["E", ""] },
  ]);
});

it("says what is wrong with a row and reads on", async () => {
  expect(await parse('A,5" disc\nB,"x"y\nC,1\n')).toEqual([
    { line: 1, fields: ["A"], problem: 'a quote inside the unquoted field 5" disc' },
    { line: 2, fields: ["B", "x"], problem: 'text behind the closing quote of "x"' },
    { line: 3, fields: ["C", "1"] },
  ]);
});

it("names the line of a quote that is never closed", async () => {
  await expect(parse('A,1\nB,"2\nC,3\n')).rejects.toThrow("Line 2: a quoted field is not closed");
});

it.each([1, 5, 100])("goes on behind the line of an open field, in pieces of %i", async (size) => {
  const text = 'A,"""so"" it\r\n\r\nsays, ""no""","more\nof it",1\r\nB,2\nC,"x\ny"z"\nD,3';
  expect(await parse(text, size)).toEqual([
    { line: 1, fields: ["A", '"so" it\r\n\r\nsays, "no"', "more\nof it", "1"] },
    { line: 5, fields: ["B", "2"] },
    { line: 6, fields: ["C", "x\ny"], problem: 'text behind the closing quote of "x\ny"' },
    { line: 8, fields: ["D", "3"] },
  ]);
});

// Reading all before it again with each line would come to a hundred GB for each of these.
it.each([
  ["no other quote", "B,2\n"],
  ["escaped quotes", 'B ""\n'],
  ["fields that open in the line that closes one", 'B","2\n'],
])("reads each line once although a quote is not closed, with %s", async (_what, line) => {
  const lines = line.repeat(Math.ceil(1_100_000 / line.length));
  await expect(parse(`A,1\nB,"2\n${lines}`, 65_536)).rejects.toThrow("Line 2: a quoted field is not closed");
});

it.each([["plain"], ['5" disc, "best"'], ["two\nlines"], [" spaces "], [""]])(
  "writes %j so that it reads the same",
  async (value) => {
    const [row] = await parse(csvLine([value, 7]));
    expect(row!.fields).toEqual([value, "7"]);
  },
);
