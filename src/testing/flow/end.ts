import type { Flow } from "./flow.ts";
import { followers, patienceSeconds } from "./services.ts";

const pauses = [5, 40, 70, 300, 700, 1_000, 2_000, 4_000, patienceSeconds];
const mostRounds = 20;

/** The weather clears: everything works again, everybody hears everything, and what takes time gets it. */
export async function comeToAnEnd(flow: Flow): Promise<void> {
  await flow.wakeUp();
  flow.gatewayIs({});
  flow.carrierIs({ down: false, failure_rate: 0 });
  for (const name of followers) flow.restart(name);
  flow.tell("everything is well again, and everybody hears everything");
  await flow.deliverAll();
  await nobodyIsForgotten(flow);
  for (let round = 0; round < mostRounds && (await anythingIsOpen(flow)); round++) {
    await later(flow, pauses[round % pauses.length]!);
  }
  await later(flow, patienceSeconds);
}

async function later(flow: Flow, seconds: number): Promise<void> {
  await flow.wait(seconds);
  flow.tell(`${seconds} s later everybody looks for what is due`);
  for (const name of followers) await flow.sweep(name);
  await flow.deliverAll();
  if (flow.settings.carrier === "manual") await shipEverything(flow);
}

async function anythingIsOpen(flow: Flow): Promise<boolean> {
  const { rows } = await flow.pool.query<{ open: boolean }>(
    `select exists (select from orders.orders where ended_as is null)
         or exists (select from inventory.reservations where status in ('held', 'confirmed'))
         or exists (select from payments.payments
                    where status in ('charging', 'refunding') and token <> 'tok_down')
         or exists (select from fulfillment.shipments where not done)
         or exists (select from carts.carts where status = 'open') as open`,
  );
  return rows[0]!.open;
}

/** Deadlines are for when everything else fails: an order that is open now waits for the gateway or for the carrier. */
async function nobodyIsForgotten(flow: Flow): Promise<void> {
  const { rows } = await flow.pool.query<{ id: string; status: string }>(
    `select o.id, o.status from orders.orders o
       left join payments.payments p on p.id = o.id and p.status = 'charging'
       left join fulfillment.shipments s on s.id = o.id and s.status in ('open', 'handing_over', 'partly_shipped')
     where o.ended_as is null and p.id is null and s.id is null`,
  );
  if (rows.length > 0) {
    throw new Error(
      `nobody works on these any more: ${rows.map(({ id, status }) => `${id}, ${status}`).join("; ")}`,
    );
  }
}

/** In two parts where there is enough, of which the first one is heard of twice. */
async function shipEverything(flow: Flow): Promise<void> {
  for (const isFirst of [true, false]) {
    const { rows } = await flow.pool.query<{ id: string }>(
      "select id from fulfillment.shipments where not done order by id",
    );
    for (const { id } of rows) await flow.ship(id, isFirst ? await flow.oneOf(id) : undefined);
    await flow.deliverAll();
    if (isFirst && rows.length > 0) await flow.remind("inventory", flow.deliveries.heard("inventory", 100));
  }
}
