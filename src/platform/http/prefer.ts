import type { FastifyReply, FastifyRequest } from "fastify";
import { Type } from "typebox";

const maxWaitSeconds = 30;

/** The header of routes that can wait for an outcome. */
export const Prefer = Type.Optional(
  Type.String({ description: "`wait=10` waits up to so many seconds, at most 30, for the outcome." }),
);

/** The `wait` of RFC 7240; a preference that cannot be made sense of is ignored, as preferences are. */
export function preferredWait({ headers }: FastifyRequest, reply: FastifyReply): number | undefined {
  const preferences = String(headers.prefer ?? "").split(",");
  const wait = preferences
    .map((preference) => /^\s*wait\s*=\s*"?(\d{1,9})"?\s*(;.*)?$/i.exec(preference)?.[1])
    .find((seconds) => seconds !== undefined);
  if (wait === undefined) return undefined;
  const seconds = Math.min(Number(wait), maxWaitSeconds);
  reply.header("preference-applied", `wait=${seconds}`);
  return seconds;
}
