import { maxQuantity } from "../kernel/limits.ts";

/** What is wrong, the value that is, and where in it. */
export type Wrong = readonly [what: string, value: unknown, field: string];

/** For whatever describes something, such as a name or a reason: printable text up to `maxLength`. */
export function wrongTexts(maxLength: number): Wrong[] {
  return [
    ["empty", "", ""],
    ["too long", "x".repeat(maxLength + 1), ""],
    ["with a control character", "a\u0000b", ""],
    ["with a line break", "a\nb", ""],
    ["with half a character", "a\ud800b", ""],
    ["a number", 7, ""],
    ["null", null, ""],
  ];
}

/** For SKUs and stores. */
export const wrongStockIds: Wrong[] = [
  ...wrongTexts(128),
  ["a space of no width", "\u200b", ""],
  ["nothing but marks of the byte order", "\ufeff\ufeff", ""],
  ["nothing but a space", " ", ""],
  ["a letter that is blank", "\u3164", ""],
  ["text that is turned round", "a\u202egum", ""],
  ["text of its own direction", "\u2067mug\u2069", ""],
  ["a step in a path", ".", ""],
  ["a step back in a path", "..", ""],
];

export const wrongIds: Wrong[] = [
  ["empty", "", ""],
  ["too long", "x".repeat(65), ""],
  ["with a space", "a b", ""],
  ["with a slash", "a/b", ""],
  ["beyond ASCII", "Größe", ""],
  ["a number", 7, ""],
];

/** For whole numbers from 1 to `maximum`. */
export function wrongIntegers(maximum = maxQuantity): Wrong[] {
  return [
    ["zero", 0, ""],
    ["negative", -1, ""],
    ["text", "2", ""],
    ["a fraction", 1.5, ""],
    ["over the maximum", maximum + 1, ""],
    ["far over the maximum", 1e300, ""],
    ["true", true, ""],
    ["null", null, ""],
  ];
}

/** The same mistakes inside of something that is right otherwise. */
export function inField(whole: object, name: string, mistakes: readonly Wrong[]): Wrong[] {
  return mistakes.map(([what, value, field]) => [
    `${name}: ${what}`,
    { ...whole, [name]: value },
    field === "" ? name : `${name}.${field}`,
  ]);
}

/** The same mistakes in the second item of a list whose first is right. */
export function inSecond(item: unknown, mistakes: readonly Wrong[]): Wrong[] {
  return mistakes.map(([what, value, field]) => [what, [item, value], field === "" ? "1" : `1.${field}`]);
}

/** Each of these fields left out. */
export function without(whole: object, ...names: string[]): Wrong[] {
  return names.map((name) => [`${name}: missing`, { ...whole, [name]: undefined }, name]);
}

export function withUnknown(whole: object): Wrong {
  return ["an unknown field", { ...whole, colour: "red" }, "colour"];
}
