import type { Gateway } from "./port.ts";
import { type BankOptions, openBank } from "./simulated/bank.ts";
import { type Deliver, SimulatedGateway } from "./simulated/gateway.ts";
import { StripeGateway, type StripeSettings } from "./stripe.ts";

export type GatewaySettings =
  | {
      readonly gateway: "simulated";
      /** `whsec_` and base64. Absent: a random one for each process, since nobody but it sends webhooks. */
      readonly webhook_secret?: string;
    }
  | { readonly gateway: "stripe"; readonly stripe: StripeSettings };

export interface GatewayOptions extends BankOptions {
  readonly settings: GatewaySettings;
  readonly callTimeoutMs: number;
  /** How the simulated gateway's webhooks arrive. */
  readonly deliver: Deliver;
}

export function createGateway(options: GatewayOptions): Gateway {
  const { settings, logger, callTimeoutMs, deliver } = options;
  if (settings.gateway === "stripe") return new StripeGateway(settings.stripe, callTimeoutMs);
  const bank = openBank(options);
  return new SimulatedGateway({ bank, deliver, logger, webhookSecret: settings.webhook_secret });
}
