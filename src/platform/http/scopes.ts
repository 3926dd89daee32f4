export const scopes = ["read", "sell", "stock", "admin"] as const;

export type Scope = (typeof scopes)[number];

/** Whoever sells or counts stock has to see it, so both may read; an admin may do everything. */
const implied: Readonly<Record<Scope, readonly Scope[]>> = {
  read: ["read"],
  sell: ["sell", "read"],
  stock: ["stock", "read"],
  admin: scopes,
};

export function permits(granted: readonly Scope[], required: Scope): boolean {
  return granted.some((scope) => implied[scope].includes(required));
}
