import type { EventRecord } from "../../platform/log/append.ts";
import type { HeardRecord } from "./book.ts";
import type { Fact, HeardEvent, Order, OrderEvent, OrderSettings, Timeline } from "./contract.ts";
import { evolve, note } from "./order.ts";
import { outcomeOf } from "./outcome.ts";
import { summaryOf } from "./summary.ts";

/** What one transaction has written into our log, or heard. */
export interface Written<Event> {
  readonly position: number;
  readonly at: Date;
  readonly events: readonly Event[];
}

/** One thing that happened to an order; `at` is when it was written here. */
export interface Step {
  readonly at: Date;
  readonly event: HeardEvent;
  /** Of our own events; undefined for what was heard. */
  readonly own?: OrderEvent;
}

/** The stories of these orders, each in its order: what was heard between the events of our own. */
export function storiesOf(
  ids: ReadonlySet<string>,
  log: readonly Written<EventRecord>[],
  heard: readonly Written<HeardRecord>[],
): Map<string, Step[]> {
  const stories = new Map<string, Step[]>();
  const tell = (id: string, step: Step) => {
    if (!ids.has(id)) return;
    const story = stories.get(id);
    if (story === undefined) stories.set(id, [step]);
    else story.push(step);
  };
  const written = new Map(log.map((batch) => [batch.position, batch]));
  const listened = new Map(heard.map((batch) => [batch.position, batch]));
  const positions = [...new Set([...written.keys(), ...listened.keys()])].sort((a, b) => a - b);
  for (const position of positions) {
    const { at, events = [] } = written.get(position) ?? { at: listened.get(position)!.at };
    let next = 0;
    const tellOwn = (end: number) => {
      for (; next < end; next++) tell(events[next]!.subject, ownStep(events[next]!, position, next, at));
    };
    for (const { order_id, before, event } of listened.get(position)?.events ?? []) {
      tellOwn(before);
      tell(order_id, { at, event: { ...event, at: new Date(event.at) } });
    }
    tellOwn(events.length);
  }
  return stories;
}

function ownStep(record: EventRecord, position: number, index: number, at: Date): Step {
  const { type, data, cause } = record;
  const event = { id: `orders-${position}-${index}`, topic: "orders", type, at, data };
  return {
    at,
    event: cause === undefined ? event : { ...event, cause },
    own: record as unknown as OrderEvent,
  };
}

/** What becomes of an order that goes through all this. */
export function fold(
  story: readonly Step[],
  factOf: (event: HeardEvent) => Fact | null,
  settings: OrderSettings,
): Order | undefined {
  let order: Order | undefined;
  for (const { at, event, own } of story) {
    if (own !== undefined) {
      order = evolve(order, own, at, settings);
      continue;
    }
    const fact = factOf(event);
    if (order !== undefined && fact !== null) order = note(order, fact, at, settings);
  }
  return order;
}

/** The story as it is shown: by the time at which things happened, wherever they did. */
export function timelineOf(order: Order, story: readonly Step[]): Timeline {
  const events = story.map(({ event }) => event).sort((a, b) => a.at.getTime() - b.at.getTime());
  const start = events[0]?.at.getTime() ?? 0;
  let previous = start;
  const items = events.map(({ id, at, topic: service, type, data, cause = null }) => {
    const time = at.getTime();
    const since_previous_ms = time - previous;
    previous = time;
    const shown = withoutToken(data);
    const summary = summaryOf(type, data);
    return {
      id,
      at,
      service,
      type,
      summary,
      since_previous_ms,
      since_start_ms: time - start,
      data: shown,
      cause,
    };
  });
  return { order_id: order.id, status: order.status, outcome: outcomeOf(order), items };
}

/** Means of payment are for the gateway alone. */
function withoutToken(data: object): object {
  const { payment: _, ...shown } = data as { payment?: unknown };
  return shown;
}
