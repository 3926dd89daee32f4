import { createHoldfast, type Holdfast, type HoldfastOptions } from "../../holdfast.ts";
import { withCommas } from "../../kernel/number.ts";
import { readCsv } from "../csv.ts";
import { note } from "../output.ts";
import { type Progress, showProgress } from "../progress.ts";
import type { Entry, ImportKind, Verdict } from "./kind.ts";

const itemsAtOnce = 1_000;
const chunksInFlight = 4;

export interface Tally {
  good: number;
  bad: number;
}

/**
 * Without `partial` the file is read twice: once to see that all of it is good, once to carry it out. Neither pass keeps
 * more than a few thousand rows.
 */
export async function importFile<Item>(
  options: HoldfastOptions,
  file: string,
  kind: ImportKind<Item>,
  partial: boolean,
): Promise<Tally> {
  const engine = await createHoldfast(options);
  const progress = showProgress();
  try {
    if (!partial) {
      const checked = await pass(file, kind, progress, "checked", (items) => kind.rehearse(engine, items));
      if (checked.bad > 0) return { good: 0, bad: checked.bad };
    }
    return await pass(file, kind, progress, "imported", (items) => applyAll(engine, kind, items));
  } finally {
    progress.clear();
    await engine.close();
  }
}

function applyAll<Item>(
  engine: Holdfast,
  kind: ImportKind<Item>,
  items: readonly Item[],
): Promise<Verdict[]> {
  return Promise.all(items.map((item) => kind.apply(engine, item)));
}

async function pass<Item>(
  file: string,
  kind: ImportKind<Item>,
  progress: Progress,
  done: string,
  judge: (items: readonly Item[]) => Promise<Verdict[]>,
): Promise<Tally> {
  const tally = { good: 0, bad: 0 };
  const startedAt = performance.now();
  const settle = async (entries: readonly Entry<Item>[]) => {
    const good = entries.filter((entry) => "item" in entry);
    const verdicts = good.length > 0 ? await judge(good.map(({ item }) => item)) : [];
    const bad = new Map(good.map(({ line }, i) => [line, verdicts[i]]));
    for (const entry of entries) {
      const problem = "problem" in entry ? entry.problem : bad.get(entry.line);
      if (problem === undefined) {
        tally.good++;
      } else {
        tally.bad++;
        progress.clear();
        note(`line ${entry.line}: ${problem}`);
      }
    }
    const perSecond = tally.good / ((performance.now() - startedAt) / 1_000);
    progress.show(`${withCommas(tally.good)} ${done}, ${withCommas(Math.round(perSecond))}/s`);
  };

  const inFlight: Promise<void>[] = [];
  for await (const entries of chunksOf(kind.read(readCsv(file)), itemsAtOnce)) {
    const settled = settle(entries);
    settled.catch(() => undefined); // looked at in its turn
    inFlight.push(settled);
    if (inFlight.length >= chunksInFlight) await inFlight.shift();
  }
  await Promise.all(inFlight);
  return tally;
}

async function* chunksOf<Item>(source: AsyncIterable<Item[]>, size: number): AsyncGenerator<Item[]> {
  let waiting: Item[] = [];
  for await (const items of source) {
    waiting = waiting.concat(items);
    let at = 0;
    for (; waiting.length - at >= size; at += size) yield waiting.slice(at, at + size);
    waiting = waiting.slice(at);
  }
  if (waiting.length > 0) yield waiting;
}
