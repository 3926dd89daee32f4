import swagger from "@fastify/swagger";
import swaggerUi from "@fastify/swagger-ui";
import type { FastifyInstance, FastifySchema } from "fastify";
import { problemSchema } from "./problem.ts";
import type { Scope } from "./scopes.ts";

const securityScheme = "api_key";

/** Collects the routes that are registered after it. */
export async function describeRoutes(app: FastifyInstance, version: string): Promise<void> {
  app.addSchema(problemSchema);
  await app.register(swagger, {
    openapi: {
      openapi: "3.1.0",
      info: {
        title: "Holdfast",
        version,
        description: "Reservations and order processing in which the last unit is sold exactly once.",
        license: { name: "MIT", identifier: "MIT" },
      },
      servers: [{ url: "/" }],
      components: {
        securitySchemes: {
          [securityScheme]: {
            type: "http",
            scheme: "bearer",
            description: "An API key. On a loopback address no key is needed until the first one exists.",
          },
        },
      },
    },
    refResolver: {
      buildLocalReference: (schema, _base, _fragment, index) => String(schema.$id ?? `def-${index}`),
    },
    transform: ({ schema, url, route }) => ({ schema: describe(schema, url, route.config?.scope), url }),
    transformObject: (description) => {
      if (!("openapiObject" in description)) return description.swaggerObject;
      markOptionalBodies((description.openapiObject.paths ?? {}) as Paths);
      return description.openapiObject;
    },
  });
}

/**
 * Serves the document, the page that shows it, and the document of the events where there is one: all of them open, as
 * the source of this program is.
 */
export async function serveDocs(app: FastifyInstance, asyncApi: string | undefined): Promise<void> {
  app.get("/openapi.json", { schema: { hide: true } }, () => app.swagger());
  if (asyncApi !== undefined) {
    app.get("/asyncapi.json", { schema: { hide: true } }, (_request, reply) =>
      reply.type("application/json; charset=utf-8").send(asyncApi),
    );
  }
  await app.register(swaggerUi, {
    routePrefix: "/docs",
    staticCSP: true,
    // The plugin's policy would make a browser ask for https, which the server does not speak.
    transformStaticCSP: (policy) => policy.replace(" upgrade-insecure-requests;", ""),
    uiConfig: { validatorUrl: null },
    // The bar on top is the plugin's own, with a field for other servers' documents.
    theme: {
      title: "Holdfast",
      css: [{ filename: "holdfast.css", content: ".swagger-ui .topbar { display: none !important }" }],
    },
  });
}

function describe(
  schema: FastifySchema | undefined,
  url: string,
  scope: Scope | "none" | undefined,
): FastifySchema {
  if (scope === undefined) return { ...schema, hide: true };
  const note = scope === "none" ? "Requires no API key." : `Requires an API key with the scope \`${scope}\`.`;
  const problem = {
    description: "A problem document.",
    content: { "application/problem+json": { schema: { $ref: "Problem#" } } },
  };
  const { body, ...rest } = schema ?? {};
  return {
    ...rest,
    ...(hasFields(body) && { body }),
    tags: [url.split("/")[2]!], // what comes behind /v1/
    description: schema?.description ? `${schema.description}\n\n${note}` : note,
    security: scope === "none" ? [] : [{ [securityScheme]: [scope] }],
    response: { ...(schema?.response as object), default: problem },
  };
}

/** A body without fields is only there to refuse others. */
function hasFields(body: unknown): boolean {
  return Object.keys((body as { properties?: object } | undefined)?.properties ?? {}).length > 0;
}

type Paths = Record<string, Record<string, Operation>>;

interface Operation {
  requestBody?: { required?: boolean; content: Record<string, { schema?: { required?: string[] } }> };
}

/** The plugin calls every body required; one without required fields may be left out. */
function markOptionalBodies(paths: Paths): void {
  for (const { requestBody } of Object.values(paths).flatMap((operations) => Object.values(operations))) {
    const required = requestBody?.content["application/json"]?.schema?.required ?? [];
    if (requestBody !== undefined) requestBody.required = required.length > 0;
  }
}
