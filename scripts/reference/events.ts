import { fileURLToPath } from "node:url";
import ts from "typescript";
import { code, heading, table } from "./markdown.ts";
import { services } from "./services.ts";

// The event types are only types, so the compiler is asked what they are.
const contracts = Object.entries(services).flatMap(([service, { events }]) =>
  events === null ? [] : [{ service, type: events }],
);
const silent = Object.entries(services).flatMap(([service, { events }]) =>
  events === null ? [service] : [],
);

interface Field {
  readonly name: string;
  readonly type: string;
  readonly about: string;
}

export function eventsPage(): string {
  const reader = new TypeReader(contracts.map(({ service }) => contractOf(service)));
  const sections = contracts.map(({ service, type }) => {
    const events = reader
      .events(contractOf(service), type)
      .map(
        ({ types, about, fields }) =>
          `### ${types.join(", ")}\n\n${about && `${about}\n\n`}${fieldTable(fields)}\n`,
      );
    return `## ${service}\n\n${events.join("\n")}`;
  });
  const shapes = reader.shapes().map(([name, fields]) => `### ${name}\n\n${fieldTable(fields)}\n`);
  return `${heading("Events", "the event types in src/services/*/contract.ts")}
What each service writes to its own log (\`catalog.log\`, \`inventory.log\`, …), one row for each batch. An event is
\`{type, subject, data, traceparent?, cause?}\`: \`subject\` names what it happened to, \`cause\` is the id of the event
that led to it, and the fields below are those of \`data\`. \`GET /v1/events\` serves them all as CloudEvents. Lines of the
inventory's events state what moved and what came of it, so whoever reads an event twice, or late, is still right.
Nothing is written by ${silent.join(", ")}: it only reads.

${sections.join("\n")}
## Parts of events

${shapes.join("\n")}`;
}

function contractOf(service: string): string {
  return fileURLToPath(new URL(`../../src/services/${service}/contract.ts`, import.meta.url));
}

function fieldTable(fields: readonly Field[]): string {
  return table(
    ["field", "type", ""],
    fields.map(({ name, type, about }) => [code(name), type, about]),
  );
}

class TypeReader {
  private readonly program: ts.Program;
  private readonly checker: ts.TypeChecker;
  /** Object types with a name, met on the way: they are described once. */
  private readonly met = new Map<string, ts.Type>();

  constructor(files: string[]) {
    const options: ts.CompilerOptions = {
      strict: true,
      exactOptionalPropertyTypes: true,
      target: ts.ScriptTarget.ES2023,
      module: ts.ModuleKind.NodeNext,
      moduleResolution: ts.ModuleResolutionKind.NodeNext,
      allowImportingTsExtensions: true,
      noEmit: true,
      types: [],
    };
    this.program = ts.createProgram(files, options);
    this.checker = this.program.getTypeChecker();
  }

  events(file: string, name: string): { types: string[]; about: string; fields: Field[] }[] {
    const source = this.program.getSourceFile(file)!;
    const exported = this.checker.getExportsOfModule(this.checker.getSymbolAtLocation(source)!);
    const symbol = exported.find((candidate) => candidate.name === name)!;
    const union = this.checker.getDeclaredTypeOfSymbol(symbol);
    return membersOf(union)
      .map((event) => {
        const type = this.property(event, "type");
        return {
          types: membersOf(type.type).map((literal) => (literal as ts.StringLiteralType).value),
          about: type.about,
          fields: this.fields(this.property(event, "data").type),
          declaredAt: type.declaredAt,
        };
      })
      .sort((a, b) => a.declaredAt - b.declaredAt);
  }

  /** In the order of their names; describing one may bring up another. */
  shapes(): [string, Field[]][] {
    const described = new Map<string, Field[]>();
    while (described.size < this.met.size) {
      for (const [name, type] of [...this.met]) {
        if (!described.has(name)) described.set(name, this.fields(type));
      }
    }
    return [...described].sort(([a], [b]) => (a < b ? -1 : 1));
  }

  private property(type: ts.Type, name: string): { type: ts.Type; about: string; declaredAt: number } {
    const symbol = type.getProperty(name);
    if (symbol === undefined) throw new Error(`an event has no ${name}: ${this.checker.typeToString(type)}`);
    const declaredAt = symbol.declarations?.[0]?.pos ?? 0;
    return { type: this.checker.getTypeOfSymbol(symbol), about: this.aboutOf(symbol), declaredAt };
  }

  /** One row for each field, those of nested objects without a name included: `skus[].sku`. */
  private fields(type: ts.Type, prefix = ""): Field[] {
    return this.checker.getPropertiesOfType(type).flatMap((symbol) => {
      const fieldType = this.checker.getTypeOfSymbol(symbol);
      const optional = symbol.flags & ts.SymbolFlags.Optional ? ", optional" : "";
      const name = prefix + symbol.name;
      const row = { name, type: this.nameOf(fieldType) + optional, about: this.aboutOf(symbol) };
      const item = this.itemOf(fieldType);
      if (item !== undefined && isNameless(item)) return [row, ...this.fields(item, `${name}[].`)];
      return item === undefined && isNameless(fieldType)
        ? [row, ...this.fields(fieldType, `${name}.`)]
        : [row];
    });
  }

  private nameOf(type: ts.Type): string {
    if (type.flags & ts.TypeFlags.Boolean) return "true or false";
    if (type.isUnion()) {
      // The compiler's own order of a union depends on what else it has looked at.
      const names = type.types
        .filter((member) => !(member.flags & ts.TypeFlags.Undefined))
        .map((member) => this.nameOf(member))
        .sort((a, b) => Number(a === "null") - Number(b === "null") || (a < b ? -1 : 1));
      return names.join(names.length > 2 ? ", " : " or ");
    }
    if (type.isStringLiteral()) return code(type.value);
    const item = this.itemOf(type);
    if (item !== undefined) return `array of ${isNameless(item) ? "objects" : this.nameOf(item)}`;
    if (type.symbol?.name === "Date") return "time";
    if (!(type.flags & ts.TypeFlags.Object)) return this.checker.typeToString(type);
    if (isNameless(type)) return "object";
    const name = nameOfShape(type)!;
    this.met.set(name, type);
    return `[${name}](#${name.toLowerCase()})`;
  }

  private itemOf(type: ts.Type): ts.Type | undefined {
    return this.checker.isArrayType(type)
      ? this.checker.getTypeArguments(type as ts.TypeReference)[0]
      : undefined;
  }

  private aboutOf(symbol: ts.Symbol): string {
    return ts.displayPartsToString(symbol.getDocumentationComment(this.checker));
  }
}

function membersOf(type: ts.Type): ts.Type[] {
  return type.isUnion() ? type.types : [type];
}

function nameOfShape(type: ts.Type): string | undefined {
  return (type.aliasSymbol ?? type.symbol)?.name;
}

function isNameless(type: ts.Type): boolean {
  return Boolean(type.flags & ts.TypeFlags.Object) && nameOfShape(type)?.startsWith("__") === true;
}
