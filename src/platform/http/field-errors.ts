import type { ErrorObject } from "ajv";
import type { FieldError } from "./problem.ts";

const maxReportedErrors = 20;

/** Ajv's findings as the `errors` member of a problem document. */
export function fieldErrors(errors: readonly ErrorObject[], part: string): FieldError[] {
  const findings = mergeUnions(errors).slice(0, maxReportedErrors);
  return findings.map((error) => {
    const path = error.instancePath.split("/").slice(1).map(unescapePointer);
    if (error.keyword === "required") path.push(String(error.params.missingProperty));
    if (error.keyword === "additionalProperties") path.push(String(error.params.additionalProperty));
    return { field: path.join(".") || part, message: explain(error) };
  });
}

/** Ajv tells what each branch of a union misses, and then that none fits: as advice they contradict each other. */
function mergeUnions(errors: readonly ErrorObject[]): ErrorObject[] {
  const merged: ErrorObject[] = [];
  for (const error of errors) {
    if (error.keyword !== "anyOf") merged.push(error);
    else {
      const ofBranches = merged.splice(merged.findLastIndex((one) => !isWithin(error, one)) + 1);
      merged.push(...tellOnce(error, ofBranches));
    }
  }
  return merged;
}

function isWithin(union: ErrorObject, { instancePath, schemaPath }: ErrorObject): boolean {
  return schemaPath.startsWith(`${union.schemaPath}/`) && instancePath.startsWith(union.instancePath);
}

/** What is inside of the value is told as it is: only the branch that was meant has looked there. */
function tellOnce(union: ErrorObject, ofBranches: readonly ErrorObject[]): ErrorObject[] {
  const inside = ofBranches.filter(({ instancePath }) => instancePath !== union.instancePath);
  const itself = ofBranches.filter(({ instancePath }) => instancePath === union.instancePath);
  const ofRightKind = firstOfEachBranch(union, itself).filter((error) => kindOf(error) === undefined);
  if (ofRightKind.length > 0) return [...inside, { ...union, message: either(ofRightKind.map(explain)) }];
  if (inside.length > 0) return inside;
  return [{ ...union, message: `must be ${either(itself.map(kindOf))}` }];
}

function firstOfEachBranch(union: ErrorObject, errors: readonly ErrorObject[]): ErrorObject[] {
  const branchOf = ({ schemaPath }: ErrorObject) =>
    schemaPath.slice(union.schemaPath.length + 1).split("/")[0];
  return errors.filter((error, i) => i === 0 || branchOf(error) !== branchOf(errors[i - 1]!));
}

function either(alternatives: readonly (string | undefined)[]): string {
  return [...new Set(alternatives)].join(" or ");
}

/** What kind of value was wanted; undefined if the kind is right and something else is wrong. */
function kindOf({ keyword, params }: ErrorObject): string | undefined {
  if (keyword !== "type" && keyword !== "format") return undefined;
  const kind = String(params[keyword]);
  return `${/^[aeiou]/.test(kind) ? "an" : "a"} ${kind}`;
}

function explain({ keyword, params, message }: ErrorObject): string {
  switch (keyword) {
    case "required":
      return "is required";
    case "additionalProperties":
      return "is not known";
    case "enum":
      return `must be one of ${params.allowedValues.join(", ")}`;
    case "const":
      return `must be ${params.allowedValue}`;
    default:
      return message ?? "is not valid";
  }
}

function unescapePointer(segment: string): string {
  return segment.replaceAll("~1", "/").replaceAll("~0", "~");
}
