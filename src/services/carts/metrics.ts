import { Counter, Gauge, type Registry } from "prom-client";
import type { CartReply } from "./contract.ts";

export function cartMetrics(registry: Registry) {
  const registers = [registry];
  const ended = new Counter({
    name: "carts_ended_total",
    help: "Carts that ended, by how.",
    labelNames: ["outcome"],
    registers,
  });
  const refused = new Counter({
    name: "carts_holds_refused_total",
    help: "Changes of carts that the stock could not hold.",
    registers,
  });
  let carts = 0;
  let ordered = 0;
  new Gauge({
    name: "cart_to_order_conversion_rate",
    help: "Share of the carts that ended which became an order, in percent.",
    registers,
    collect() {
      if (carts === 0) this.remove();
      else this.set((ordered / carts) * 100);
    },
  });

  return {
    answered(reply: CartReply) {
      if (!reply.accepted) return;
      for (const { before, after } of reply.carts) {
        if (before?.status === "open" && after.status !== "open") {
          carts++;
          ended.inc({ outcome: after.status });
        }
        if (before?.order?.priced === undefined && after.order?.priced !== undefined) ordered++;
        if (after.hold.refusal !== null && after.hold.refusal !== before?.hold.refusal) refused.inc();
      }
    },
  };
}
