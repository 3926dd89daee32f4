import type { Subscription } from "../../platform/bus/port.ts";
import { repeat } from "../../platform/repeat.ts";
import {
  logMigrations,
  migrationsBeside,
  type Service,
  type ServiceOptions,
} from "../../platform/service.ts";
import { isOfOrder, topics } from "./consumers.ts";
import { createPayments, type PaymentSettings, type Payments, paymentTiming } from "./payments.ts";
import { registerPaymentRoutes } from "./routes.ts";
import { schema } from "./store.ts";
import { verifyPayments } from "./verify.ts";

export type { PaymentSettings } from "./payments.ts";

export interface PaymentsService extends Service {
  readonly payments: Payments;
  readonly subscription: Subscription;
}

export const paymentMigrations = [logMigrations(schema), migrationsBeside(import.meta.url, schema, schema)];

const lookForOverdueEveryMs = 60_000;

/** Wires the service: what it follows, what it serves, what it does by itself. */
export function paymentsService(options: ServiceOptions & { settings: PaymentSettings }): PaymentsService {
  const { logger, settings } = options;
  const payments = createPayments(options);

  const sweeper = repeat(settings.timing?.sweep_every_ms ?? paymentTiming.sweep_every_ms, async () => {
    try {
      await payments.sweep(false);
    } catch (error) {
      logger.warn({ err: error }, "overdue payments could not be taken up; trying again");
    }
  });
  const watch = repeat(lookForOverdueEveryMs, async () => {
    try {
      const overdue = await payments.refundsOverdue();
      if (overdue > 0) logger.error({ refunds: overdue }, "refunds are overdue for more than an hour");
    } catch (error) {
      logger.warn({ err: error }, "overdue refunds could not be looked for; trying again");
    }
  });

  return {
    name: schema,
    payments,
    subscription: {
      group: schema,
      topics,
      concerns: isOfOrder,
      afterFailure: "wait",
      handle: (tx, events) => payments.handle(tx, events),
    },
    probes: [payments.outside.probe],
    start() {
      sweeper.start();
      watch.start();
    },
    async stop() {
      await Promise.all([sweeper.stop(), watch.stop()]);
      await payments.stop();
    },
    registerRoutes: (app) => registerPaymentRoutes(app, payments),
    verify: verifyPayments,
  };
}
