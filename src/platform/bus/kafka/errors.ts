import { GenericError, ResponseError } from "@platformatic/kafka";
import { InfrastructureError } from "../../errors.ts";

/** The ones that we act upon, of the codes that the protocol knows. */
export const codes = {
  offsetOutOfRange: 1,
  unknownTopicOrPartition: 3,
  illegalGeneration: 22,
  unknownMember: 25,
  rebalanceInProgress: 27,
  topicExists: 36,
  outOfOrderSequence: 45,
  duplicateSequence: 46,
  invalidProducerEpoch: 47,
  invalidProducerMapping: 49,
  unknownProducer: 59,
  memberIdRequired: 79,
} as const;

/** What the broker itself answered; empty when the trouble lies in between. */
export function codesOf(error: unknown): number[] {
  if (!(error instanceof ResponseError)) return [];
  return error.errors.map((part: GenericError) => part.apiCode as number);
}

export function hasCode(error: unknown, ...wanted: readonly number[]): boolean {
  return codesOf(error).some((code) => wanted.includes(code));
}

/** False only when the broker understood and says that the same will never work. */
export function isWorthTrying(error: unknown): boolean {
  if (!(error instanceof ResponseError)) return true;
  return error.errors.every((part: GenericError) => part.canRetry || part.hasStaleMetadata);
}

export function unreachable(cause: unknown): InfrastructureError {
  const message = `Kafka is not reachable: ${reasonOf(cause)}`;
  return new InfrastructureError("bus.unreachable", message, { retryable: true, cause });
}

export function refused(cause: unknown): InfrastructureError {
  const message = `Kafka refuses: ${reasonOf(cause)}`;
  return new InfrastructureError("bus.refused", message, { retryable: false, cause });
}

/** The innermost cause: "connect ECONNREFUSED 127.0.0.1:9092" rather than "cannot connect to any broker". */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error instanceof AggregateError && error.errors.length > 0) return reasonOf(error.errors[0]);
  if (error.cause instanceof Error) return reasonOf(error.cause);
  const said = error instanceof GenericError && (error.serverErrorMessage || error.apiId);
  return said ? `${said}: ${error.message}` : error.message;
}
