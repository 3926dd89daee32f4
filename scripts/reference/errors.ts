import { busProblems } from "../../src/platform/bus/routes.ts";
import { type ProblemTable, platformProblems, problemTypeBase } from "../../src/platform/http/problem.ts";
import { logProblems } from "../../src/platform/log/routes.ts";
import { code, heading, table } from "./markdown.ts";
import { type DescribedService, services } from "./services.ts";

export function errorsPage(): string {
  return `${heading("Errors", "the problem tables in src/")}
Every error is an [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457) document of the type
\`application/problem+json\`. Programs look at \`code\`, which never changes its meaning; people read \`detail\`. Its
\`type\` is \`${problemTypeBase}\` followed by the code. \`request_id\` names the request in the server's log.
Refusals about stock list the \`lines\` that are in the way: \`{store_id, sku, requested, available}\`, and
\`fulfillment.exceeds_shipment\` has \`left\` in place of \`available\`. Wrong input lists \`errors\`:
\`{field, message}\`. \`auth.insufficient_scope\` names the \`required_scope\`.

A status of 429 or 503, or no answer at all, may be followed by the very same request: ids make sure that it takes
effect once (a partial commit needs an \`Idempotency-Key\` for that). The library answers the same codes as \`refusal.code\`.

${Object.entries(services).map(refusals).join("\n")}
## Requests and the platform

What is wrong with a request, or with us.

${problemTable({ ...platformProblems, ...logProblems, ...busProblems })}
`;
}

function refusals([service, { problems }]: [string, DescribedService]): string {
  return `## ${service}\n\nRefusals: the rules said no, and nothing has changed.\n\n${problemTable(problems)}\n`;
}

function problemTable(problems: ProblemTable): string {
  const rows = Object.entries(problems).map(([name, { status, title }]) => [
    code(name),
    String(status),
    title,
  ]);
  return table(["code", "status", "title"], rows);
}
