import type { Line } from "../contract.ts";

export interface Parcel {
  readonly shipment_id: string;
  readonly lines: readonly Line[];
}

export type CarrierAnswer =
  | { readonly result: "shipped"; readonly tracking: string | null }
  | { readonly result: "refused"; readonly detail: string };

/** Who takes parcels. Throws when it cannot be reached or does not answer; then `find` tells whether it has the parcel. */
export interface Carrier {
  readonly name: string;
  /** Asked again with the same id it ships nothing again. */
  ship(parcel: Parcel): Promise<CarrierAnswer>;
  /** Undefined when it has no such parcel. */
  find(shipment_id: string): Promise<{ readonly tracking: string | null } | undefined>;
}
