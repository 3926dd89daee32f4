import { traceFields } from "./logger.ts";

/** The order that something is about. A payment and a shipment have the id of their order. */
export function orderIdOf(fields: object): string | undefined {
  const { order_id, payment_id, shipment_id } = fields as Record<string, unknown>;
  const id = order_id ?? payment_id ?? shipment_id;
  return typeof id === "string" ? id : undefined;
}

/**
 * What a line says about a command, which names its order itself, or about an event, whose data does, so that all lines
 * about an order, and its trace, are found together.
 */
export function about(item: object): { readonly order_id?: string; readonly trace_id?: string } {
  const { data = item, traceparent } = item as { data?: object; traceparent?: string };
  const order_id = orderIdOf(data);
  return { ...(order_id === undefined ? {} : { order_id }), ...traceFields(traceparent) };
}
