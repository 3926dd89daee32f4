import type { Probe } from "../http/health.ts";
import type { Bus } from "./port.ts";

/** Up as long as it can be asked: a group that lags is told of, but another process could do no better. */
export function busProbe(bus: Bus): Probe {
  return {
    name: "bus",
    async check() {
      const consumers = await bus.consumers();
      return {
        consumers: consumers.map(({ group, topic, lag, lag_seconds }) => ({
          group,
          topic,
          lag,
          lag_seconds,
        })),
      };
    },
  };
}
