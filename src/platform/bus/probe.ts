import { Degraded, type Probe } from "../http/health.ts";
import type { Bus, ConsumerState } from "./port.ts";

/**
 * Up as long as it can be asked: a group that lags is told of, but another process could do no better. What it lags
 * behind in, topic by topic, is for `GET /v1/consumers` to say. Degraded while the broker is away: what is accepted
 * meanwhile is kept in the logs, and goes out when it is back.
 */
export function busProbe(bus: Bus): Probe {
  return {
    name: "bus",
    async check() {
      const consumers = await bus.consumers();
      const groups = new Set(consumers.map(({ group }) => group));
      const summaries = [...groups].map((name) => [
        name,
        summaryOf(consumers.filter((c) => c.group === name)),
      ]);
      const details = { consumers: Object.fromEntries(summaries) };
      const broker = bus.broker();
      if (broker === undefined) return details;
      const { isUp, since, reason } = broker;
      const state = { name: bus.kind, up: isUp, since, ...(reason === undefined ? {} : { reason }) };
      return isUp ? { broker: state, ...details } : new Degraded({ broker: state, ...details });
    },
  };
}

function summaryOf(states: readonly ConsumerState[]) {
  const sum = (figure: "lag" | "retrying" | "dead") =>
    states.reduce((total, state) => total + Number(state[figure] ?? 0), 0);
  const isCounted = states.some(({ lag }) => lag !== undefined);
  const longest = longestOf(states);
  return {
    ...(isCounted && { lag: sum("lag") }),
    ...(longest !== undefined && { lag_seconds: Math.round(longest * 1_000) / 1_000 }),
    retrying_events: sum("retrying"),
    dead_events: sum("dead"),
  };
}

/** Undefined when it cannot be told of something that waits, which may be the oldest. */
function longestOf(states: readonly ConsumerState[]): number | undefined {
  const waiting = states.filter(({ lag }) => lag !== undefined);
  const seconds = waiting.map(({ lag_seconds }) => lag_seconds ?? Number.NaN);
  const longest = Math.max(...seconds);
  return Number.isFinite(longest) ? longest : undefined;
}
