import { InfrastructureError } from "../../errors.ts";

/** What AMQP's clients throw, as what the bus knows: the very same call may succeed once the broker is back. */
export function unreachable(what: string, cause?: unknown): InfrastructureError {
  const why = cause instanceof Error ? `: ${cause.message}` : "";
  return new InfrastructureError("bus.unreachable", `RabbitMQ: ${what}${why}`, { retryable: true, cause });
}

/** What is thrown by the driver becomes `bus.unreachable`; what already says what it is stays. */
export async function orUnreachable<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw error instanceof InfrastructureError ? error : unreachable(what, error);
  }
}

/** The driver itself waits for ever. */
export async function within<T>(timeoutMs: number, what: string, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const timeUp = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(unreachable(`${what}, which took more than ${timeoutMs} ms`)), timeoutMs);
  });
  try {
    return await Promise.race([work, timeUp]);
  } finally {
    clearTimeout(timer);
  }
}
