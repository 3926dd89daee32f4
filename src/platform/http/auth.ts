import type { FastifyReply, FastifyRequest, HookHandlerDoneFunction } from "fastify";
import { InfrastructureError } from "../errors.ts";
import type { ApiKey } from "./api-keys.ts";
import type { Keys } from "./keyring.ts";
import { platformProblems, sendProblem } from "./problem.ts";
import { permits, type Scope } from "./scopes.ts";

declare module "fastify" {
  interface FastifyContextConfig {
    /**
     * What an API key must be allowed to do for this route; every route under /v1 declares it. `none`: callers have no
     * key, and the route itself makes sure who they are.
     */
    scope?: Scope | "none";
  }
  interface FastifyRequest {
    /** Null while the server is open to everybody. */
    apiKey: ApiKey | null;
  }
}

type OnRequest = (request: FastifyRequest, reply: FastifyReply, done: HookHandlerDoneFunction) => void;

/** The hook that lets a request through when its bearer token permits `scope`. */
export function requireScope(keys: Keys, scope: Scope): OnRequest {
  return (request, reply, done) => {
    if (!keys.required) return done();
    const token = bearerToken(request);
    if (token === undefined) {
      reply.header("www-authenticate", 'Bearer realm="holdfast"');
      sendProblem(reply, platformProblems, "auth.missing_key", { detail: "Send Authorization: Bearer hf_…" });
      return;
    }
    const known = keys.find(token);
    if (known !== undefined) return admit(known, scope, request, reply, done);
    keys.search(token).then((key) => admit(key, scope, request, reply, done), done);
  };
}

export function bearerToken(request: FastifyRequest): string | undefined {
  const header = request.raw.headers.authorization;
  return header === undefined ? undefined : /^bearer +(\S+)$/i.exec(header)?.[1];
}

function admit(
  key: ApiKey | undefined,
  scope: Scope,
  request: FastifyRequest,
  reply: FastifyReply,
  done: HookHandlerDoneFunction,
): void {
  if (key === undefined) {
    reply.header("www-authenticate", 'Bearer realm="holdfast", error="invalid_token"');
    sendProblem(reply, platformProblems, "auth.invalid_key", {
      detail: "Create one with `holdfast keys create`.",
    });
  } else if (!permits(key.scopes, scope)) {
    reply.header("www-authenticate", `Bearer realm="holdfast", error="insufficient_scope", scope="${scope}"`);
    const detail = `This needs the scope ${scope}; the key ${key.name} has ${key.scopes.join(", ")}.`;
    sendProblem(reply, platformProblems, "auth.insufficient_scope", { detail, required_scope: scope });
  } else {
    request.apiKey = key;
    done();
  }
}

/** Without keys only this machine may be served: an address that others can reach needs at least one. */
export function assertMayListen(host: string, activeKeys: number): void {
  if (activeKeys > 0 || isLoopback(host)) return;
  throw new InfrastructureError(
    "auth.keys_required",
    `${host} can be reached from outside, and there is no API key yet. ` +
      "Create one with `holdfast keys create NAME --scope admin`, or listen on 127.0.0.1.",
    { retryable: false },
  );
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host);
}
