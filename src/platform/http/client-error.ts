import { STATUS_CODES } from "node:http";
import type { Socket } from "node:net";
import { type PlatformProblem, platformProblems, problemJson } from "./problem.ts";

const codes: Readonly<Record<string, PlatformProblem>> = {
  HPE_HEADER_OVERFLOW: "request.headers_too_large",
  ERR_HTTP_REQUEST_TIMEOUT: "request.timeout",
};

/** Answers what never became a request: there is no reply object, only the socket. */
export function answerClientError(error: Error & { code: string }, socket: Socket, requestId: string): void {
  if (error.code === "ECONNRESET" || socket.destroyed || !socket.writable) return;
  const code = codes[error.code] ?? "request.malformed";
  const { status, title } = platformProblems[code];
  const body = problemJson(platformProblems, code, requestId, { detail: `${title}.` });
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nContent-Type: application/problem+json\r\n` +
      `X-Request-Id: ${requestId}\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
}
