import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { constraints, openLists } from "./fields.ts";
import type { JsonSchema } from "./json-schema.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));

/** An event type of a contract: `data` as JSON Schema. */
export interface ReadEvent {
  /** More than one when the contract gives them the same data. */
  readonly types: readonly string[];
  readonly about: string;
  readonly data: JsonSchema;
}

/** The event types are only types, so the compiler is asked what they are. */
export class ContractReader {
  private readonly program: ts.Program;
  private readonly checker: ts.TypeChecker;
  /** Object types with a name, met on the way: they are described once. */
  readonly definitions: Record<string, JsonSchema> = {};
  private readonly definedBy = new Map<string, ts.Type>();

  constructor(files: readonly string[]) {
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
    this.program = ts.createProgram(files.map(pathOf), options);
    this.checker = this.program.getTypeChecker();
  }

  /** The members of a union of `{type, data}`, in the order in which they are declared. */
  events(file: string, name: string): ReadEvent[] {
    return membersOf(this.exported(file, name))
      .map((event) => {
        const [type, data] = [this.property(event, "type"), this.property(event, "data")];
        return {
          types: membersOf(this.checker.getTypeOfSymbol(type)).map(
            (literal) => (literal as ts.StringLiteralType).value,
          ),
          about: commentBefore(type) || this.aboutOf(data),
          data: this.objectOf(this.checker.getTypeOfSymbol(data), name),
          declaredAt: type.declarations?.[0]?.pos ?? 0,
        };
      })
      .sort((a, b) => a.declaredAt - b.declaredAt)
      .map(({ types, about, data }) => ({ types, about, data }));
  }

  /** A type that is the data itself. */
  data(file: string, name: string): JsonSchema {
    return this.objectOf(this.exported(file, name), name);
  }

  private exported(file: string, name: string): ts.Type {
    const source = this.program.getSourceFile(pathOf(file));
    const module = source && this.checker.getSymbolAtLocation(source);
    const symbol = module && this.checker.getExportsOfModule(module).find((found) => found.name === name);
    if (symbol === undefined) throw new Error(`${file} exports no type ${name}`);
    return this.checker.getDeclaredTypeOfSymbol(symbol);
  }

  private property(type: ts.Type, name: string): ts.Symbol {
    const symbol = type.getProperty(name);
    if (symbol === undefined) throw new Error(`an event has no ${name}: ${this.checker.typeToString(type)}`);
    return symbol;
  }

  private objectOf(type: ts.Type, place: string): JsonSchema {
    const fields = this.checker.getPropertiesOfType(type);
    const properties = fields.map((symbol) => {
      const schema = this.schemaOf(this.checker.getTypeOfSymbol(symbol), `${place}.${symbol.name}`);
      const about = this.aboutOf(symbol);
      return [
        symbol.name,
        { ...schema, ...constraints[symbol.name], ...(about && { description: about }) },
      ] as const;
    });
    const required = fields.filter(({ flags }) => !(flags & ts.SymbolFlags.Optional));
    return {
      type: "object",
      properties: Object.fromEntries(properties),
      required: required.map((symbol) => symbol.name),
    };
  }

  private schemaOf(type: ts.Type, place: string): JsonSchema {
    const open = type.aliasSymbol && openLists[type.aliasSymbol.name];
    if (open !== undefined) return open;
    if (type.flags & ts.TypeFlags.Boolean) return { type: "boolean" };
    if (type.isUnion()) return this.unionOf(type, place);
    if (type.isStringLiteral()) return { type: "string", enum: [type.value] };
    if (type.flags & ts.TypeFlags.BooleanLiteral) {
      return { type: "boolean", enum: [this.checker.typeToString(type) === "true"] };
    }
    if (type.flags & ts.TypeFlags.String) return { type: "string" };
    // Quantities, versions, seconds, and money in its smallest unit: there are no fractions.
    if (type.flags & ts.TypeFlags.Number) return { type: "integer" };
    if (type.flags & ts.TypeFlags.Null) return { type: "null" };
    if (type.symbol?.name === "Date") return { type: "string", format: "date-time" };
    if (this.checker.isArrayType(type)) {
      const [item] = this.checker.getTypeArguments(type as ts.TypeReference);
      return { type: "array", items: this.schemaOf(item!, `${place}[]`) };
    }
    const isObject = type.flags & ts.TypeFlags.Object || type.isIntersection();
    if (!isObject || this.checker.getPropertiesOfType(type).length === 0) {
      throw new Error(`${place} is ${this.checker.typeToString(type)}: that tells its readers nothing`);
    }
    const name = nameOfShape(type);
    return name === undefined ? this.objectOf(type, place) : this.refer(name, type);
  }

  private unionOf(type: ts.UnionType, place: string): JsonSchema {
    const members = type.types.filter(({ flags }) => !(flags & ts.TypeFlags.Undefined));
    const isNullable = members.some(({ flags }) => flags & ts.TypeFlags.Null);
    const others = members.filter(({ flags }) => !(flags & ts.TypeFlags.Null));
    if (others.every((member) => member.isStringLiteral())) {
      // The compiler's own order of a union depends on what else it has looked at.
      const values: (string | null)[] = others.map(({ value }) => value).sort();
      return isNullable
        ? { type: ["string", "null"], enum: [...values, null] }
        : { type: "string", enum: values };
    }
    if (others.length === 2 && others.every(({ flags }) => flags & ts.TypeFlags.BooleanLiteral)) {
      return { type: isNullable ? ["boolean", "null"] : "boolean" };
    }
    const schemas = others.map((member) => this.schemaOf(member, place)).sort(byText);
    const [only] = schemas;
    if (only !== undefined && schemas.length === 1 && isNullable && isPlain(only))
      return { ...only, type: [only.type, "null"] };
    const anyOf = isNullable ? [...schemas, { type: "null" }] : schemas;
    return anyOf.length === 1 ? anyOf[0]! : { anyOf };
  }

  private refer(name: string, type: ts.Type): JsonSchema {
    const known = this.definedBy.get(name);
    if (known === undefined) {
      this.definedBy.set(name, type);
      this.definitions[name] = this.objectOf(type, name);
    } else if (known !== type) {
      throw new Error(`there are two types called ${name}: give one of them another name`);
    } else if (this.definitions[name] === undefined) {
      throw new Error(`${name} contains itself, which a comparison of schemas would not see the end of`);
    }
    return { $ref: `#/$defs/${name}` };
  }

  private aboutOf(symbol: ts.Symbol): string {
    return ts.displayPartsToString(symbol.getDocumentationComment(this.checker));
  }
}

/** The comment before a member of a union stands in front of its `|`, where the compiler ties it to nothing. */
function commentBefore(type: ts.Symbol): string {
  const member = type.declarations?.[0]?.parent;
  if (member === undefined) return "";
  const text = member.getSourceFile().text.slice(0, member.getStart());
  const comment = /\*\/\s*\|?\s*$/.test(text)
    ? text.slice(text.lastIndexOf("/*"), text.lastIndexOf("*/"))
    : "";
  if (!comment.startsWith("/**")) return "";
  return comment
    .slice("/**".length)
    .replaceAll(/\n\s*\*/g, "\n")
    .replaceAll(/\s+/g, " ")
    .trim();
}

export function contractOf(service: string): string {
  const file = `src/services/${service}/contract.ts`;
  return existsSync(pathOf(file)) ? file : file.replace(/\.ts$/, "/index.ts");
}

function pathOf(file: string): string {
  return resolve(root, file);
}

function membersOf(type: ts.Type): ts.Type[] {
  return type.isUnion() ? type.types : [type];
}

function nameOfShape(type: ts.Type): string | undefined {
  const name = (type.aliasSymbol ?? type.symbol)?.name;
  return name?.startsWith("__") ? undefined : name;
}

/** Neither a list of values nor an object: whose type can be a list of types, with the rest as it is. */
function isPlain(schema: JsonSchema): schema is JsonSchema & { readonly type: string } {
  return typeof schema.type === "string" && schema.type !== "object" && schema.enum === undefined;
}

function byText(a: JsonSchema, b: JsonSchema): number {
  return JSON.stringify(a) < JSON.stringify(b) ? -1 : 1;
}
