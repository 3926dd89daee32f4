import { Fetcher, type FetcherOptions } from "./fetcher.ts";

/** One for each broker: all groups of the process share them. */
export class Fetchers {
  private readonly options: Omit<FetcherOptions, "node">;
  private readonly byNode = new Map<number, Fetcher>();

  constructor(options: Omit<FetcherOptions, "node">) {
    this.options = options;
  }

  of(node: number): Fetcher {
    const existing = this.byNode.get(node);
    if (existing) return existing;
    const fetcher = new Fetcher({ ...this.options, node });
    this.byNode.set(node, fetcher);
    return fetcher;
  }

  close(): void {
    for (const fetcher of this.byNode.values()) fetcher.close();
  }
}
