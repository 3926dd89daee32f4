/**
 * Something outside the rules went wrong: a connection, a disk, a limit. Refusals of the business are values
 * and never come this way. `retryable` says whether the very same call may succeed later.
 */
export class InfrastructureError extends Error {
  readonly code: string;
  readonly retryable: boolean;
  readonly retryAfterSeconds: number | undefined;

  constructor(
    code: string,
    message: string,
    options: { retryable: boolean; retryAfterSeconds?: number; cause?: unknown },
  ) {
    super(message, { cause: options.cause });
    this.name = "InfrastructureError";
    this.code = code;
    this.retryable = options.retryable;
    this.retryAfterSeconds = options.retryAfterSeconds;
  }
}
