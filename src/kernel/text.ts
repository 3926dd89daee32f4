/** Text in one line: no control characters, and no half of a character. */
export const printable = "^[^\\p{Cc}\\p{Cs}]+$";

/** Format characters, spaces, marks without a letter, and letters and symbols that are blank by design. */
const invisible = "[\\p{Cf}\\p{Z}\\p{M}\\u115F\\u1160\\u2800\\u3164\\uFFA0]";
/** They turn the text around them, so that a person reads another id than the one that is there. */
const turning = "\\u202A-\\u202E\\u2066-\\u2069";

/** Every client takes these for steps in a path, so that no address reaches what is called so. */
const pathStep = "\\.{1,2}";

/** Printable text that people can tell from another one and that has an address. */
export const printableId = `^(?!(?:${pathStep}|${invisible}+)$)[^\\p{Cc}\\p{Cs}${turning}]+$`;
