import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { ContractReader } from "./contract-reader.ts";

const contract = `
export interface Line {
  readonly sku: string;
  readonly quantity: number;
}

interface OfParcel {
  readonly parcel_id: string;
}

export type ParcelEvent =
  /** It is on
   * its way. */
  | {
      type: "ParcelSent";
      data: OfParcel & {
        readonly lines: readonly Line[];
        /** In grams. */
        readonly weight: number;
        readonly sent_at: Date;
        readonly arrives_at: Date | null;
        readonly speed: "slow" | "fast" | null;
        readonly insured: boolean;
        readonly fragile?: true;
        readonly gift: { readonly words: string | null } | null;
        readonly first: Line | null;
      };
    }
  | { type: "ParcelLost" | "ParcelFound"; data: OfParcel };

export type VagueEvent = { type: "Vague"; data: { readonly anything: unknown } };

export interface Box {
  readonly inside?: Box;
}

export type EndlessEvent = { type: "Endless"; data: { readonly box: Box } };
`;

const directory = mkdtempSync(join(tmpdir(), "holdfast-contract-"));
afterAll(() => rmSync(directory, { recursive: true }));
const file = join(directory, "contract.ts");
writeFileSync(file, contract);
const reader = new ContractReader([file]);

it("reads what a type says about data, with the comments", () => {
  const [sent] = reader.events(file, "ParcelEvent");

  expect(sent).toEqual({
    types: ["ParcelSent"],
    about: "It is on its way.",
    data: {
      type: "object",
      properties: {
        parcel_id: { type: "string" },
        lines: { type: "array", items: { $ref: "#/$defs/Line" } },
        weight: { type: "integer", description: "In grams." },
        sent_at: { type: "string", format: "date-time" },
        arrives_at: { type: ["string", "null"], format: "date-time" },
        speed: { type: ["string", "null"], enum: ["fast", "slow", null] },
        insured: { type: "boolean" },
        fragile: { type: "boolean", enum: [true] },
        gift: {
          anyOf: [
            { type: "object", properties: { words: { type: ["string", "null"] } }, required: ["words"] },
            { type: "null" },
          ],
        },
        first: { anyOf: [{ $ref: "#/$defs/Line" }, { type: "null" }] },
      },
      required: [
        "parcel_id",
        "lines",
        "weight",
        "sent_at",
        "arrives_at",
        "speed",
        "insured",
        "gift",
        "first",
      ],
    },
  });
});

it("describes named objects once, with what the names of their fields say", () => {
  reader.events(file, "ParcelEvent");
  expect(reader.definitions.Line).toEqual({
    type: "object",
    properties: {
      sku: { type: "string", minLength: 1, maxLength: 128 },
      quantity: { type: "integer", minimum: -2_147_483_647, maximum: 2_147_483_647 },
    },
    required: ["sku", "quantity"],
  });
});

it("knows types that share their data, and nothing of what precedes them", () => {
  expect(reader.events(file, "ParcelEvent")[1]).toEqual({
    types: ["ParcelLost", "ParcelFound"],
    about: "",
    data: { type: "object", properties: { parcel_id: { type: "string" } }, required: ["parcel_id"] },
  });
});

it.each([
  ["VagueEvent", "VagueEvent.anything is unknown: that tells its readers nothing"],
  ["EndlessEvent", "Box contains itself"],
  ["NoEvent", "exports no type NoEvent"],
])("refuses %s", (type, message) => {
  expect(() => reader.events(file, type)).toThrow(message);
});
