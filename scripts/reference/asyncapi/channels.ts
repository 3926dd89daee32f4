import { settings } from "../../../src/platform/settings.ts";
import type { Topic } from "../topics.ts";

/** What each channel is for, and how to read or write it so that the right thing comes of it. */
export function channelWords({ address, service }: Topic): { title: string; description: string } {
  return described[address] ?? { title: `The log of ${service}`, description: logWords(service) };
}

/** How long a broker keeps messages, unless it is told otherwise. */
export const retentionDays = settings.brokerRetentionDays.default;

const described: Readonly<Record<string, { title: string; description: string }>> = {
  "inventory.sync": {
    title: "What can be sold",
    description: `For everybody who mirrors availability: shop windows, marketplaces, tills. Each message states how much of a SKU can be
sold in a store after something has happened to it, and the version of the stock record that says so.

**What to do with a message.** For each \`(store_id, product_sku)\` keep the message with the highest \`version\`, and pass
over every other one. Its \`quantity_available\` is what can be sold: 0 for a SKU that the catalogue offers no more. Never
add or subtract \`quantity\`: it only tells how much has moved (signed for \`ADJUSTED\`, and 0 when nothing has, as when a SKU
is offered again). Kept that way, a message that comes twice, late or in the wrong order does no harm.

**What is promised.** Every change comes at least once. The key is \`product_sku\`, so what belongs to one SKU is in one
partition; after a crash on our side some messages come again, behind later ones, with the \`id\` that they had.

**Where to begin.** Messages are kept for ${retentionDays} days, and a record that has not moved for longer is in none of them. So:

1. Begin to read the topic at its end (Kafka: seek every partition to its end; RabbitMQ: \`x-stream-offset: next\`) and put
   aside what comes. Note when that was.
2. Read all pages of \`GET /v1/stock\` for which SKUs there are, and ask \`GET /v1/availability?sku=…\` for them, up to 500
   at a time. An answer whose \`age_ms\` reaches back to before step 1 is asked for again. Keep \`quantity_available\` and
   \`version\` of each item, whose \`sku\` is the \`product_sku\` here.
3. Take what was put aside, and then whatever comes, by the rule above.

Whoever has been away for less than ${retentionDays} days goes on at the offset that he has committed; after more than that, begin
again. A record that neither has told of has nothing to sell.`,
  },
  "inventory.inbound": {
    title: "Goods that came or went",
    description: `Warehouses and tills tell what has physically happened: \`StockIn\` when goods have come into a store, \`StockOut\` when they
have left it. Nothing of that is refused for lack of stock, since it has happened.

**Once.** \`source\` and \`id\` together name a message: however often the pair is sent, it is carried out once. So send
again whatever you are not sure of, as it was. Another content under the same pair is not carried out, but set aside.

**What to send.** A CloudEvent 1.0 in binary mode (attributes in the headers, \`data\` as the body) or in structured mode
(\`content-type: application/cloudevents+json\`, the whole event as the body). Lines are carried out all together or not
at all. Fields of \`data\` that are not described here are refused, so that a misspelt one is not passed over. On Kafka,
batches may be compressed with gzip, snappy or lz4; zstd is read where Holdfast runs on Node.js 22.15 or newer.

**Key and order.** The key is yours to choose, and the order does not matter: what has left before it came in is owed, and
what comes in makes up for it.

**The answer** is what comes of it: \`InventoryAdjusted\` in \`holdfast.inventory\`, and an \`InventorySync\` with the type
\`ADJUSTED\` in \`inventory.sync\`. A message that cannot be understood is set aside with the reason for the operator, who
finds it under \`GET /v1/dead-letters\`; what came behind it goes on.`,
  },
};

function logWords(service: string): string {
  return `Everything that has happened in ${service}, in the order in which it happened. Events of one key are in one partition
and in order; each comes at least once, and is known again by its \`ce_id\`. Pass over types and fields that you do not
know: there will be more of them. The broker keeps ${retentionDays} days; \`GET /v1/events\` has what is older.`;
}
