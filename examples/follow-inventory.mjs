// What can be sold, as another program keeps track of it. All that it knows of Holdfast stands in asyncapi.json.
//
//   node examples/follow-inventory.mjs 127.0.0.1:9092 [the shop's HOLDFAST_TOPIC_PREFIX]
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { Consumer, stringDeserializers } from "@platformatic/kafka";
import { Ajv2020 } from "ajv/dist/2020.js";

const [address, prefix = ""] = process.argv.slice(2);
if (address === undefined) throw new Error("Say where Kafka is: node follow-inventory.mjs 127.0.0.1:9092");

const document = JSON.parse(
  readFileSync(new URL("../docs/reference/asyncapi.json", import.meta.url), "utf8"),
);
const channel = document.channels["inventory.sync"];
const { name: type, payload } = channel.messages.InventorySync;
const ajv = new Ajv2020({ strict: false }).addSchema(document, "asyncapi.json");
const isValid = ajv.compile({ $ref: `asyncapi.json${payload.$ref}` });

const consumer = new Consumer({
  clientId: "follow-inventory",
  groupId: `follow-inventory-${randomUUID()}`, // of our own, since we want to be told everything
  bootstrapBrokers: address.split(","),
  deserializers: stringDeserializers,
});
const messages = await consumer.consume({ topics: [prefix + channel.address], mode: "earliest" });

/** The newest statement about each SKU in each store: whatever comes twice, late or in another order does no harm. */
const stock = new Map();
let isPrinted = true;
setInterval(print, 500);

for await (const { headers, value } of messages) {
  if (headers.get("ce_type") !== type) continue; // perhaps a later version tells more
  const change = JSON.parse(value);
  if (!isValid(change)) throw new Error(`Not as described: ${ajv.errorsText(isValid.errors)} in ${value}`);
  const key = JSON.stringify([change.store_id, change.product_sku]);
  if (change.version <= (stock.get(key)?.version ?? 0)) continue;
  stock.set(key, change);
  isPrinted = false;
}

function print() {
  if (isPrinted) return;
  isPrinted = true;
  const keys = [...stock.keys()].sort();
  console.table(
    keys.map((key) => stock.get(key)),
    ["store_id", "product_sku", "quantity_available", "version"],
  );
}
