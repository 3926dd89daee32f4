import type { Pool } from "../../../platform/postgres/pool.ts";
import type { Logger } from "../../../platform/telemetry/logger.ts";
import type { Gateway } from "./port.ts";
import { openBank } from "./simulated/bank.ts";
import { type Deliver, SimulatedGateway } from "./simulated/gateway.ts";
import { StripeGateway, type StripeSettings } from "./stripe.ts";

export type GatewaySettings =
  | {
      readonly gateway: "simulated";
      /** `whsec_` and base64. Absent: a random one for each process, since nobody but it sends webhooks. */
      readonly webhook_secret?: string;
    }
  | { readonly gateway: "stripe"; readonly stripe: StripeSettings };

export interface GatewayOptions {
  readonly settings: GatewaySettings;
  readonly pool: Pool;
  readonly schema: string;
  readonly maxWaiting: number;
  readonly logger: Logger;
  readonly callTimeoutMs: number;
  /** How the simulated gateway's webhooks arrive. */
  readonly deliver: Deliver;
}

export function createGateway(options: GatewayOptions): Gateway {
  const { settings, pool, schema, maxWaiting, logger, callTimeoutMs, deliver } = options;
  if (settings.gateway === "stripe") return new StripeGateway(settings.stripe, callTimeoutMs);
  const bank = openBank(pool, schema, maxWaiting, logger);
  return new SimulatedGateway({ bank, deliver, logger, webhookSecret: settings.webhook_secret });
}
