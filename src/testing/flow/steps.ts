import fc from "fast-check";
import type { BusEvent } from "../../platform/bus/port.ts";
import type { Simulation } from "../../services/payments/contract.ts";
import { type Flow, skus, type WantedLine } from "./flow.ts";
import type { Fate } from "./process.ts";
import { type FlowSettings, type Follower, followers } from "./services.ts";

/**
 * Numbers choose among what there is when the step is taken, so that a story stays one when steps are left out of it.
 */
type Step =
  | { do: "order"; lines: WantedLine[]; token: string; isRetry: boolean }
  | { do: "cancel"; order: number }
  | { do: "put"; cart: number; lines: WantedLine[] }
  | { do: "check out"; cart: number; token: string }
  | { do: "delete"; cart: number }
  | {
      do: "deliver";
      group: number;
      counts: number[];
      fate: "done" | "rolled back" | "forgotten";
    }
  | { do: "round"; group: number }
  | { do: "overtake"; group: number; choice: number; most: number }
  | { do: "remind"; group: number; back: number }
  | { do: "replay"; group: number; topic: number; back: number }
  | { do: "doom"; service: number; transactions: number; fate: Fate }
  | { do: "restart"; service: number }
  | { do: "wake up" }
  | { do: "wait"; seconds: number }
  | { do: "sweep"; service: number }
  | { do: "gateway"; mood: number }
  | { do: "carrier"; down: boolean; failure_rate: number }
  | { do: "count"; sku: number; quantity: number; force: boolean }
  | { do: "ship"; shipment: number; part: boolean; refuse: boolean };

export interface Run {
  readonly settings: FlowSettings;
  readonly onHand: number;
  readonly steps: readonly Step[];
}

const cartsInUse = 2;
const gatewayMoods: Partial<Simulation>[] = [
  {},
  {},
  { down: true },
  { failure_rate: 0.5 },
  { decline_rate: 1 },
  { late_seconds: 100 },
  { duplicate_webhooks: true },
];

const some = fc.nat({ max: 1_000 });
const wantedLine = fc.record({
  sku: fc.nat({ max: skus.length - 1 }),
  quantity: fc.integer({ min: 1, max: 2 }),
});
const wantedLines = fc.array(wantedLine, { minLength: 1, maxLength: 3 });
const token = fc.constantFrom(
  "tok_ok",
  "tok_ok",
  "tok_ok",
  "tok_ok",
  "tok_declined",
  "tok_lost",
  "tok_twice",
  "tok_late_30",
  "tok_late_2000",
  "tok_down",
);

function step<Name extends Step["do"]>(
  weight: number,
  name: Name,
  choices: {
    [Key in Exclude<keyof Extract<Step, { do: Name }>, "do">]: fc.Arbitrary<Extract<Step, { do: Name }>[Key]>;
  },
): fc.WeightedArbitrary<Step> {
  return {
    weight,
    arbitrary: fc.record({ do: fc.constant(name), ...choices }) as unknown as fc.Arbitrary<Step>,
  };
}

const anyStep = fc.oneof(
  step(10, "order", {
    lines: wantedLines,
    token,
    isRetry: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
  }),
  step(7, "cancel", { order: some }),
  step(5, "put", { cart: some, lines: wantedLines }),
  step(4, "check out", { cart: some, token }),
  step(1, "delete", { cart: some }),
  step(25, "round", { group: some }),
  step(30, "deliver", {
    group: some,
    counts: fc.array(fc.constantFrom(0, 0, 1, 2, 5, 100), { minLength: 1, maxLength: 5 }),
    fate: fc.constantFrom("done", "done", "done", "done", "rolled back", "forgotten"),
  }),
  step(8, "overtake", { group: some, choice: some, most: fc.integer({ min: 1, max: 3 }) }),
  step(8, "remind", { group: some, back: fc.constantFrom(1, 3, 1_000) }),
  step(3, "replay", { group: some, topic: some, back: fc.integer({ min: 1, max: 12 }) }),
  step(4, "doom", {
    service: some,
    transactions: fc.nat({ max: 3 }),
    fate: fc.constantFrom<Fate>("dies", "hangs"),
  }),
  step(1, "restart", { service: some }),
  step(3, "wake up", {}),
  step(6, "wait", { seconds: fc.constantFrom(1, 1, 10, 10, 50, 50, 300, 950, 3_000) }),
  step(6, "sweep", { service: some }),
  step(3, "gateway", { mood: some }),
  step(2, "carrier", { down: fc.boolean(), failure_rate: fc.constantFrom(0, 0, 0.5) }),
  step(2, "count", { sku: some, quantity: fc.nat({ max: 8 }), force: fc.boolean() }),
  step(14, "ship", {
    shipment: some,
    part: fc.integer({ min: 0, max: 3 }).map((n) => n > 0),
    refuse: fc.integer({ min: 0, max: 7 }).map((n) => n === 0),
  }),
);

export const anyRun: fc.Arbitrary<Run> = fc.noBias(
  fc.record({
    settings: fc.record({
      commit_on: fc.constantFrom("fulfillment", "fulfillment", "payment"),
      hold_on: fc.constantFrom("cart", "checkout"),
      carrier: fc.constantFrom("simulated", "manual"),
    }),
    onHand: fc.integer({ min: 2, max: 12 }),
    steps: fc.array(anyStep, { minLength: 1, maxLength: 160, size: "max" }),
  }),
);

/** Takes one step; what there is nothing to choose from for is left out. */
export async function take(flow: Flow, step: Step): Promise<void> {
  switch (step.do) {
    case "order":
      return order(flow, step);
    case "cancel": {
      const paid = await idsIn(flow, "orders.orders where status = 'paid'");
      // Most orders have ended, and there is little to see with them.
      const orders = paid.length > 0 && step.order % 3 > 0 ? paid : await idsIn(flow, "orders.orders");
      if (orders.length === 0) return;
      const id = of(orders, step.order);
      flow.tell(`cancel ${id}`);
      return flow.cancel(id);
    }
    case "put":
      flow.tell(`put ${words(step.lines)} into ${cartOf(step.cart)}`);
      return flow.put(cartOf(step.cart), step.lines);
    case "check out":
      flow.tell(`check out ${cartOf(step.cart)} with ${step.token}`);
      return flow.checkOut(cartOf(step.cart), step.token);
    case "delete":
      flow.tell(`delete ${cartOf(step.cart)}`);
      return flow.delete(cartOf(step.cart));
    case "deliver":
      return deliver(flow, step);
    case "round":
      flow.tell("everybody hears what there is to hear");
      return round(flow, step.group);
    case "overtake": {
      const group = listener(flow, step.group);
      const events = flow.deliveries.nextOfOneKey(group, step.choice, step.most);
      if (events.length === 0) return;
      flow.tell(`${group} hears ahead of others: ${names(events)}`);
      return flow.hear(group, events);
    }
    case "remind": {
      const group = of(followers, step.group);
      const events = flow.deliveries.heard(group, step.back);
      if (events.length === 0) return;
      flow.tell(`${group} hears of each topic the last ${step.back} events again, at once`);
      return flow.remind(group, events);
    }
    case "replay": {
      const group = of(followers, step.group);
      const topic = flow.deliveries.replay(group, step.topic, step.back);
      flow.tell(`${group} hears the last ${step.back} events of ${topic} once more`);
      return;
    }
    case "doom": {
      const name = of(followers, step.service);
      flow.tell(`after ${step.transactions} more transactions, the process of ${name} ${step.fate}`);
      return flow.fleet.process(name).doom(step.transactions, step.fate);
    }
    case "restart":
      flow.tell(`restart ${of(followers, step.service)}`);
      return flow.restart(of(followers, step.service));
    case "wake up":
      flow.tell("those that hung go on");
      return flow.wakeUp();
    case "wait":
      flow.tell(`wait ${step.seconds} s`);
      return flow.wait(step.seconds);
    case "sweep":
      flow.tell(`sweep ${of(followers, step.service)}`);
      return flow.sweep(of(followers, step.service));
    case "gateway":
      flow.tell(`the gateway is ${JSON.stringify(of(gatewayMoods, step.mood))}`);
      return flow.gatewayIs(of(gatewayMoods, step.mood));
    case "carrier":
      flow.tell(`the carrier is ${JSON.stringify(step)}`);
      return flow.carrierIs(step);
    case "count":
      flow.tell(`count ${of(skus, step.sku)}: ${step.quantity}${step.force ? ", by force" : ""}`);
      return flow.count(of(skus, step.sku), step.quantity, step.force);
    case "ship":
      return ship(flow, step);
  }
}

async function order(flow: Flow, { lines, token, isRetry }: Extract<Step, { do: "order" }>): Promise<void> {
  if (isRetry && flow.lastOrder !== undefined) {
    flow.tell(`order ${flow.lastOrder.key} again`);
    return flow.order(flow.lastOrder.key, flow.lastOrder.lines, flow.lastOrder.token);
  }
  const key = `request-${flow.story.length}`;
  flow.lastOrder = { key, lines, token };
  flow.tell(`order ${words(lines)} with ${token} (${key})`);
  return flow.order(key, lines, token);
}

async function deliver(flow: Flow, { group: choice, counts, fate }: Extract<Step, { do: "deliver" }>) {
  const group = listener(flow, choice);
  const events = flow.deliveries.next(group, counts);
  if (events.length === 0) return;
  const how =
    fate === "forgotten" ? "and dies behind the commit" : fate === "rolled back" ? "and rolls back" : "";
  flow.tell(`${group} hears ${how}: ${names(events)}`);
  await flow.hear(group, events, fate);
}

/** Each in its turn, once. */
async function round(flow: Flow, first: number): Promise<void> {
  for (const i of followers.keys()) {
    const group = of(followers, first + i);
    const events = flow.deliveries.next(group, [100]);
    if (events.length > 0) await flow.hear(group, events);
  }
}

/** One of those that have something to hear. */
function listener(flow: Flow, choice: number): Follower {
  const listening = followers.filter((group) => flow.deliveries.waitsFor(group) > 0);
  return of(listening.length > 0 ? listening : followers, choice);
}

async function ship(flow: Flow, { shipment, part, refuse }: Extract<Step, { do: "ship" }>): Promise<void> {
  const shipments = await idsIn(flow, "fulfillment.shipments where not done");
  if (shipments.length === 0 || (flow.settings.carrier === "simulated" && refuse)) return;
  const id = of(shipments, shipment);
  const line = part ? await flow.oneOf(id) : undefined;
  flow.tell(refuse ? `${id} cannot be shipped` : `ship ${line ? `1 ${line.sku}` : "all"} of ${id} by hand`);
  return refuse ? flow.refuseToShip(id) : flow.ship(id, line);
}

async function idsIn(flow: Flow, table: string): Promise<string[]> {
  const { rows } = await flow.pool.query<{ id: string }>(`select id from ${table} order by id`);
  return rows.map(({ id }) => id);
}

function of<Item>(items: readonly Item[], choice: number): Item {
  return items[choice % items.length]!;
}

function cartOf(choice: number): string {
  return `cart ${choice % cartsInUse}`;
}

function words(lines: readonly WantedLine[]): string {
  return lines.map(({ sku, quantity }) => `${quantity} ${of(skus, sku)}`).join(" + ");
}

function names(events: readonly BusEvent[]): string {
  return events.map(({ type, key }) => `${type}(${key})`).join(", ");
}
