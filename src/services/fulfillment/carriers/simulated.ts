import { setTimeout as sleep } from "node:timers/promises";
import type { SimulatedSettings } from "../contract.ts";
import type { Carrier } from "./port.ts";

export interface SimulatedCarrier extends Carrier {
  settings: SimulatedSettings;
}

const parcelsRemembered = 10_000;

/** A carrier without a van. What it says of a parcel follows from the id alone, so it says the same each time. */
export function simulatedCarrier(): SimulatedCarrier {
  const shipped = new Set<string>();

  async function answering(settings: SimulatedSettings, signal: AbortSignal): Promise<void> {
    if (settings.latency_ms > 0) await sleep(settings.latency_ms, undefined, { signal });
    if (settings.down) throw new Error("the simulated carrier is down");
  }

  return {
    name: "simulated",
    settings: { latency_ms: 0, failure_rate: 0, down: false },
    async ship({ shipment_id }, signal) {
      await answering(this.settings, signal);
      if (fractionOf(shipment_id) < this.settings.failure_rate) {
        return { result: "refused", detail: "The simulated carrier refuses this parcel." };
      }
      remember(shipped, shipment_id);
      return { result: "shipped", tracking: trackingOf(shipment_id) };
    },
    async find(shipment_id, signal) {
      await answering(this.settings, signal);
      return shipped.has(shipment_id) ? { tracking: trackingOf(shipment_id) } : undefined;
    },
  };
}

function trackingOf(shipment_id: string): string {
  return `SIM-${shipment_id}`;
}

/** The newest are enough: an answer that was lost is asked for soon. */
function remember(shipped: Set<string>, id: string): void {
  shipped.add(id);
  if (shipped.size <= parcelsRemembered) return;
  const [oldest] = shipped;
  shipped.delete(oldest!);
}

/** From 0 to below 1, spread evenly over the ids (FNV-1a). */
function fractionOf(id: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < id.length; i++) hash = Math.imul(hash ^ id.charCodeAt(i), 0x01000193);
  return (hash >>> 0) / 2 ** 32;
}
