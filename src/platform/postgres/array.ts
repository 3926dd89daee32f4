/** Text that PostgreSQL reads in an array as it stands: neither empty, nor quoted, nor the word NULL. */
const plain = /^(?!null$)[A-Za-z0-9_.:~/+-]+$/i;

/**
 * A column of values as PostgreSQL spells an array. The driver can do it too, in three times the time, and a batch
 * consists of little else.
 */
export function arrayLiteral(values: readonly unknown[]): string {
  let text = "{";
  for (let i = 0; i < values.length; i++) {
    if (i > 0) text += ",";
    text += element(values[i]);
  }
  return `${text}}`;
}

/** The parameters of a statement, its columns spelt out. */
export function parameters(values: readonly unknown[]): unknown[] {
  return values.map((value) => (Array.isArray(value) ? arrayLiteral(value) : value));
}

function element(value: unknown): string {
  switch (typeof value) {
    case "string":
      return plain.test(value) ? value : quoted(value);
    case "number":
    case "bigint":
      return String(value);
    case "boolean":
      return value ? "t" : "f";
    default:
      if (value === null || value === undefined) return "NULL";
      if (value instanceof Date) return `"${value.toISOString()}"`;
      if (Array.isArray(value)) return arrayLiteral(value);
      return quoted(JSON.stringify(value));
  }
}

function quoted(text: string): string {
  return `"${text.replace(/[\\"]/g, "\\$&")}"`;
}
