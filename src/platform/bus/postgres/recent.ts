import { type BusRow, busRow, type LogRow } from "./log-row.ts";

const charactersKept = 4_000_000;

/** The last rows of a topic, read once for all groups of the process. Whoever is further behind reads for himself. */
export class RecentRows {
  private readonly topic: string;
  private rows: BusRow[] = [];
  private characters = 0;
  /** All rows behind `from` and up to `to` are here. */
  private from = 0;
  private to = 0;

  constructor(topic: string) {
    this.topic = topic;
  }

  get end(): number {
    return this.to;
  }

  /** What comes next is not known before this place. */
  skipTo(position: number): void {
    this.rows = [];
    this.characters = 0;
    this.from = position;
    this.to = position;
  }

  append(rows: readonly LogRow[], readTo: number): void {
    for (const row of rows) {
      this.rows.push(busRow(this.topic, row));
      this.characters += row.events.length;
    }
    this.to = readTo;
    let dropped = 0;
    for (; this.characters > charactersKept; dropped++) {
      this.characters -= this.rows[dropped]!.events.length;
      this.from = this.rows[dropped]!.position;
    }
    if (dropped > 0) this.rows = this.rows.slice(dropped);
  }

  /** The rows behind this place, as many as `limit`; undefined when they are not all here. */
  behind(position: number, limit: number): { rows: readonly BusRow[]; readTo: number } | undefined {
    if (position < this.from || position >= this.to) return undefined;
    const first = this.rows.findIndex((row) => row.position > position);
    const rows = first === -1 ? [] : this.rows.slice(first, first + limit);
    const isAll = first === -1 || first + rows.length === this.rows.length;
    return { rows, readTo: isAll ? this.to : rows.at(-1)!.position };
  }
}
