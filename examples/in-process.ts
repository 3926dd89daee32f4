// The engine inside your own process, on your own PostgreSQL: DATABASE_URL=postgres://… npx tsx examples/in-process.ts
import { createHoldfast } from "holdfast";

const holdfast = await createHoldfast({ databaseUrl: process.env.DATABASE_URL! });

await holdfast.putProduct("mug", {
  name: "Mug",
  skus: [{ sku: "MUG-BLUE", price_minor: 1250, currency: "EUR" }],
});
const blueMug = { store_id: "main", sku: "MUG-BLUE" };
await holdfast.count(blueMug, 1, { reason: "first count" });

// Two buyers want the last one at the same time. Both calls travel in one batch; the first one gets it.
const [alice, bob] = await Promise.all([
  holdfast.reserve("cart-alice", [{ ...blueMug, quantity: 1 }], { ttl_seconds: 600 }),
  holdfast.reserve("cart-bob", [{ ...blueMug, quantity: 1 }], { ttl_seconds: 600 }),
]);
if (alice.accepted) console.log(`alice: ${alice.subject.status}`);
if (!bob.accepted) console.log(`bob: ${bob.refusal.code}, ${bob.refusal.detail}`);

// The answer got lost? Ask again with the same id: it is held once.
await holdfast.reserve("cart-alice", [{ ...blueMug, quantity: 1 }]);

// Paid, packed, gone.
await holdfast.confirm("cart-alice");
await holdfast.commit("cart-alice");
console.log(`on hand: ${(await holdfast.stock(blueMug))?.quantity_on_hand}`);

await holdfast.close();
