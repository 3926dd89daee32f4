import { isUtf8 } from "node:buffer";
import type { FastifyInstance } from "fastify";
import { ProblemError } from "./problem.ts";

declare module "fastify" {
  interface FastifyContextConfig {
    /** Keeps the body as it was sent, for whoever has to check its signature. */
    rawBody?: true;
  }
  interface FastifyRequest {
    /** Undefined unless the route asks for it with `config.rawBody`, and for a body that is empty. */
    rawBody: Buffer | undefined;
  }
}

/** Reads JSON bodies strictly; no body at all reads as none, for routes whose body is optional. */
export function acceptJsonBodies(app: FastifyInstance): void {
  const parse = app.getDefaultJsonParser("error", "error");
  app.removeAllContentTypeParsers();
  app.decorateRequest("rawBody", undefined);

  app.addContentTypeParser<Buffer>("application/json", { parseAs: "buffer" }, (request, bytes, done) => {
    if (bytes.length === 0) return done(null, undefined);
    if (request.routeOptions.config.rawBody) request.rawBody = bytes;
    if (!isUtf8(bytes)) return done(malformed("The body is not UTF-8."));
    const text = bytes.toString("utf8");
    parse(request, text, (error, body) => {
      if (error) return done(malformed("The body cannot be parsed as JSON."));
      if (repeatsKey(text, body)) return done(malformed("An object in the body has the same key twice."));
      // Handlers take an absent body for an empty one; a body that says "nothing" is not absent.
      if (body === null) return done(notAnObject());
      done(null, body);
    });
  });

  app.addContentTypeParser<Buffer>("*", { parseAs: "buffer" }, (_request, bytes, done) => {
    if (bytes.length === 0) return done(null, undefined);
    done(
      new ProblemError("request.unsupported_media_type", { detail: "Send the body as application/json." }),
    );
  });
}

/** As the schema of a body says it of a list or a text. */
function notAnObject(): ProblemError {
  const errors = [{ field: "body", message: "must be object" }];
  return new ProblemError("request.invalid", { detail: "In the body: body must be object.", errors });
}

function malformed(detail: string): ProblemError {
  return new ProblemError("request.malformed_json", { detail });
}

/**
 * JSON.parse keeps the last of two equal keys in silence, where another reader of the same message may keep the
 * first. Each member of the text has one colon outside strings, so fewer keys than colons means a repeated key.
 */
function repeatsKey(text: string, body: unknown): boolean {
  return countMembers(text) !== countKeys(body);
}

function countMembers(text: string): number {
  let members = 0;
  let inString = false;
  for (let index = 0; index < text.length; index++) {
    const character = text.charCodeAt(index);
    if (character === 0x22 /* " */) inString = !inString;
    else if (inString && character === 0x5c /* \ */) index++;
    else if (!inString && character === 0x3a /* : */) members++;
  }
  return members;
}

// A stack of its own instead of recursion: a body may nest deeper than the call stack reaches.
function countKeys(body: unknown): number {
  let keys = 0;
  const pending = [body];
  while (pending.length > 0) {
    const value = pending.pop();
    if (typeof value !== "object" || value === null) continue;
    const children: unknown[] = Array.isArray(value) ? value : Object.values(value);
    if (!Array.isArray(value)) keys += children.length;
    for (const child of children) pending.push(child);
  }
  return keys;
}
