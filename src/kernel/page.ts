/** A list's `next`: opaque to clients, the sort key of the last item to us. */
export function encodeCursor(key: readonly (string | number)[]): string {
  return Buffer.from(JSON.stringify(key)).toString("base64url");
}

/** Undefined for anything that `encodeCursor` has not made for a key of this shape. */
export function decodeCursor<Key extends readonly (string | number)[]>(
  cursor: string,
  shape: { [Index in keyof Key]: "string" | "number" },
): Key | undefined {
  try {
    const key: unknown = JSON.parse(Buffer.from(cursor, "base64url").toString());
    const fits =
      Array.isArray(key) && key.length === shape.length && key.every((part, i) => is(shape[i], part));
    return fits ? (key as unknown as Key) : undefined;
  } catch {
    return undefined;
  }
}

/** Keys hold positions, versions and times, and text as PostgreSQL takes it: without a NUL. */
function is(kind: "string" | "number" | undefined, part: unknown): boolean {
  if (kind === "string") return typeof part === "string" && !part.includes("\u0000");
  return Number.isSafeInteger(part) && (part as number) >= 0;
}
