import type { ErrorObject } from "ajv";
import type { FastifyError, FastifyReply, FastifyRequest } from "fastify";
import { InfrastructureError } from "../errors.ts";
import { isTransient } from "../postgres/errors.ts";
import { traceFields } from "../telemetry/logger.ts";
import { fieldErrors } from "./field-errors.ts";
import { type PlatformProblem, ProblemError, platformProblems, sendProblem } from "./problem.ts";

const fastifyErrors: Readonly<Record<string, readonly [PlatformProblem, string]>> = {
  FST_ERR_BAD_URL: [
    "request.malformed",
    "The address has a percent sign that does not start an encoded byte.",
  ],
  FST_ERR_CTP_BODY_TOO_LARGE: [
    "request.body_too_large",
    "Send less at once, or raise HOLDFAST_BODY_LIMIT_BYTES.",
  ],
  FST_ERR_CTP_INVALID_MEDIA_TYPE: ["request.unsupported_media_type", "Send the body as application/json."],
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: [
    "request.malformed",
    "The body is not as long as Content-Length says.",
  ],
};

/** Turns whatever was thrown into a problem document; internals go to the log, never to the client. */
export function handleError(error: FastifyError, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  if (error instanceof ProblemError) return sendProblem(reply, platformProblems, error.code, error.members);
  if (error.validation !== undefined) return sendInvalid(error, reply);
  if (error instanceof InfrastructureError) return sendInfrastructureProblem(error, request, reply);

  if (isTransient(error)) return sendUnavailable(error, "platform.unavailable", request, reply);

  if (error.code === "FST_ERR_MAX_PARAM_LENGTH") return sendOverlongAddress(reply);
  const known = fastifyErrors[error.code];
  if (known !== undefined) return sendProblem(reply, platformProblems, known[0], { detail: known[1] });
  const status = error.statusCode ?? 500;
  if (status === 404)
    return sendProblem(reply, platformProblems, "request.not_found", { detail: request.url });
  if (status >= 400 && status < 500) {
    return sendProblem(reply, platformProblems, "request.malformed", { detail: error.message });
  }
  return sendInternal(error, request, reply);
}

function sendInvalid(error: FastifyError, reply: FastifyReply): FastifyReply {
  const part = error.validationContext ?? "request";
  const errors = fieldErrors(error.validation as ErrorObject[], part);
  const [first] = errors;
  const more = errors.length > 1 ? `, and ${errors.length - 1} more` : "";
  const detail = `In the ${part}: ${first?.field} ${first?.message}${more}.`;
  return sendProblem(reply, platformProblems, "request.invalid", { detail, errors });
}

/** Before the route is known, and with it the name of the part. */
function sendOverlongAddress(reply: FastifyReply): FastifyReply {
  return sendProblem(reply, platformProblems, "request.invalid", {
    detail: "A part of the address is longer than accepted.",
    errors: [{ field: "params", message: "has a part that is longer than accepted" }],
  });
}

function sendInfrastructureProblem(error: InfrastructureError, request: FastifyRequest, reply: FastifyReply) {
  if (!error.retryable) return sendInternal(error, request, reply);
  if (error.retryAfterSeconds !== undefined) reply.header("retry-after", error.retryAfterSeconds);
  // Load is shed on purpose and in bulk: a log line for each would only add to it.
  if (error.code === "platform.overloaded") {
    return sendProblem(reply, platformProblems, "platform.overloaded", { detail: "Try again shortly." });
  }
  const code = error.code === "platform.stopping" ? error.code : "platform.unavailable";
  return sendUnavailable(error, code, request, reply);
}

function sendUnavailable(error: Error, code: PlatformProblem, request: FastifyRequest, reply: FastifyReply) {
  logFailure(error, request);
  return sendProblem(reply, platformProblems, code, {
    detail: "The very same request may be sent again and may then succeed.",
  });
}

function sendInternal(error: Error, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  logFailure(error, request);
  return sendProblem(reply, platformProblems, "platform.internal", {
    detail: "The cause is in the server's log under this request_id.",
  });
}

function logFailure(error: Error, request: FastifyRequest): void {
  const { id: request_id, method, orderId, trace } = request;
  const about = { ...(orderId && { order_id: orderId }), ...traceFields(trace.traceparent) };
  const line = { err: error, request_id, method, route: request.routeOptions.url, ...about };
  request.log.error(line, "request failed");
}
