import { InfrastructureError } from "./errors.ts";

/** Gives up waiting when the time is over; what is waited for goes on. */
export async function within<Result>(ms: number, what: string, work: Promise<Result>): Promise<Result> {
  let timer: NodeJS.Timeout | undefined;
  const timeUp = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(new InfrastructureError("timeout", `${what} took too long`, { retryable: true }));
    }, ms);
  });
  try {
    return await Promise.race([work, timeUp]);
  } finally {
    clearTimeout(timer);
  }
}
