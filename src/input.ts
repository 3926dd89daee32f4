import type { Static, TSchema } from "typebox";
import { Compile } from "typebox/compile";

/** What a caller of the library gave is not what the schema of the same HTTP call takes. */
export class InvalidInput extends TypeError {
  readonly field: string;

  constructor(field: string, message: string) {
    super(`${field} ${message}`);
    this.name = "InvalidInput";
    this.field = field;
  }
}

/** Callers in JavaScript are not held to the types, and what is stored must be right: the schemas of HTTP hold here too. */
export function checker<Schema extends TSchema>(schema: Schema): (value: unknown) => Static<Schema> {
  const validator = Compile(schema);
  return (value) => {
    if (validator.Check(value)) return value as Static<Schema>;
    const [error] = validator.Errors(value);
    const field = error?.instancePath.slice(1).replaceAll("/", ".") || "input";
    throw new InvalidInput(field, error?.message ?? "is not valid");
  };
}
