/** A copy without any field called `token`: means of payment are for the gateway, and shown or logged nowhere. */
export function withoutTokens<Value>(value: Value): Value {
  if (Array.isArray(value)) return value.map(withoutTokens) as Value;
  if (value === null || typeof value !== "object" || value instanceof Date) return value;
  const shown = Object.entries(value).filter(([name]) => name !== "token");
  return Object.fromEntries(shown.map(([name, part]) => [name, withoutTokens(part)])) as Value;
}
