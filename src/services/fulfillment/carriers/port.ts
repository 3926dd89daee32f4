import type { Line } from "../contract.ts";

export interface Parcel {
  readonly shipment_id: string;
  readonly lines: readonly Line[];
}

export type CarrierAnswer =
  | { readonly result: "shipped"; readonly tracking: string | null }
  | { readonly result: "refused"; readonly detail: string };

/**
 * Who takes parcels. Throws when it cannot be reached or does not answer; then `find` tells whether it has the parcel.
 * The signal tells it that nobody waits for the answer any more.
 */
export interface Carrier {
  readonly name: string;
  /** Asked again with the same id it ships nothing again. */
  ship(parcel: Parcel, signal: AbortSignal): Promise<CarrierAnswer>;
  /** Undefined when it has no such parcel. */
  find(shipment_id: string, signal: AbortSignal): Promise<{ readonly tracking: string | null } | undefined>;
}
