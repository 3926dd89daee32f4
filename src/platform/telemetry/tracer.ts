/** Makes the steps of a trace visible. Without an exporter nothing is recorded, and traceparents are handed on as they are. */
export interface Tracer {
  /**
   * Begins a step for each item that belongs to a trace. The items that come back carry the traceparent of their step,
   * so that what they cause hangs below it.
   */
  begin<Item extends { readonly traceparent?: string }>(
    items: readonly Item[],
    describe: (item: Item) => StepDescription,
  ): { readonly items: readonly Item[]; end(error?: unknown): void };
}

export interface StepDescription {
  /** Such as `inventory OrderCreated`. */
  readonly name: string;
  readonly attributes?: Readonly<Record<string, string | number>>;
}

export const untraced: Tracer = {
  begin: (items) => ({ items, end() {} }),
};
