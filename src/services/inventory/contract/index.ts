export type * from "./commands.ts";
export type * from "./events.ts";
export type * from "./records.ts";
export * from "./refusals.ts";
export * from "./wire.ts";
