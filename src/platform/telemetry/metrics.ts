import { collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import { within } from "../deadline.ts";
import type { Logger } from "./logger.ts";

export type { Registry } from "prom-client";

/** A registry of its own for each engine, so that two of them live in one process without mixing figures. */
export function createRegistry(): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  return registry;
}

export type RequestDuration = Histogram<"method" | "route" | "status">;

/** `route` is the pattern (`/v1/stock/:store_id/:sku`): raw urls would make a series of every SKU. */
export function createRequestDuration(registry: Registry): RequestDuration {
  return new Histogram({
    name: "http_request_duration_seconds",
    help: "Time from the request's arrival until its answer was sent.",
    labelNames: ["method", "route", "status"],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.08, 0.15, 0.3, 0.5, 1, 2.5, 5, 10],
    registers: [registry],
  });
}

const answerWithinMs = 3_000;

export interface AskedGauge<Label extends string, Answer> {
  readonly name: string;
  readonly help: string;
  readonly labelNames?: readonly Label[];
  /** Sets what the answer says; what it leaves unset is absent. */
  readonly show: (gauge: Gauge<Label>, answer: Answer) => void;
}

/**
 * For gauges whose figures have to be asked for when somebody looks. While there is no answer they are absent, of which
 * the log tells once, and `/metrics` serves all others. However many gauges show the answer, it is asked for once.
 */
export function askedGauges<Answer>(registry: Registry, logger: Logger, ask: () => Promise<Answer>) {
  let asking: Promise<Answer> | undefined;
  let isUnanswered = false;

  async function answer(metric: string): Promise<Answer | undefined> {
    asking ??= ask().finally(() => {
      asking = undefined;
    });
    try {
      const answered = await within(answerWithinMs, "the answer", asking);
      isUnanswered = false;
      return answered;
    } catch (error) {
      if (!isUnanswered)
        logger.warn({ err: error, metric }, "a figure could not be asked for; it is absent meanwhile");
      isUnanswered = true;
      return undefined;
    }
  }

  return <Label extends string = never>({ show, labelNames = [], ...about }: AskedGauge<Label, Answer>) =>
    new Gauge<Label>({
      ...about,
      labelNames,
      registers: [registry],
      async collect() {
        const answered = await answer(about.name);
        if (labelNames.length === 0) this.remove();
        else this.reset();
        if (answered !== undefined) show(this, answered);
      },
    });
}
