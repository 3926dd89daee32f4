import { expect, it } from "vitest";
import { wishOf } from "../group/tail.ts";
import type { ReceivedMessage } from "./broker.ts";
import { BrokerTail } from "./broker-tail.ts";

const own = { logid: "ours", subject: "s", time: "2026-11-21T12:00:00.000Z" };
const place = { position: 0, index: 0, offset: null };
let offset = 0;

function message(attributes: Record<string, string>, body = "{}"): ReceivedMessage {
  return { offset: offset++, key: "k", attributes: { type: "Told", ...attributes }, body };
}

function event(position: number, changes: Record<string, string> = {}): ReceivedMessage {
  return message({ ...own, id: `teller-${position}-0`, ...changes });
}

function tailOf(logid?: string) {
  offset = 0;
  const strays: [number, string][] = [];
  let duplicates = 0;
  const tail = new BrokerTail({
    topic: "teller",
    partition: 0,
    wish: wishOf(["Told"]),
    logid,
    begun: null,
    seek: () => {},
    onDone: () => {},
    onDuplicates: (count) => {
      duplicates += count;
    },
    onStray: (...stray) => strays.push(stray),
  });
  tail.resume(place);
  return {
    tail,
    strays,
    duplicates: () => duplicates,
    ids: () => tail.events(100).map(({ id }) => id),
    offer: (...messages: ReceivedMessage[]) => tail.offer(messages, () => {}),
  };
}

it("what has the id of a later event and is of no log hides none of those that come behind it", async () => {
  const { offer, ids, strays, duplicates } = tailOf();
  await offer(event(1), message({ id: "teller-4-0" }, "{not json"), message({ ...own, id: "no place" }));
  await offer(message({ id: "teller-5-0", time: own.time, subject: "s" }), event(2), event(3), event(4));
  expect(ids()).toEqual(["teller-1-0", "teller-2-0", "teller-3-0", "teller-4-0"]);
  expect(strays.map(([at]) => at)).toEqual([1, 2, 3]);
  expect(duplicates()).toBe(0);
});

it.each([
  ["no JSON", {}, "{not json"],
  ["no object", {}, "null"],
  ["no moment", { time: "soon" }, "{}"],
])("what is of the log and cannot be read (%s) hides none either", async (_, changes, body) => {
  const { offer, ids, strays, tail, duplicates } = tailOf();
  await offer(event(1), message({ ...own, id: "teller-4-0", ...changes }, body), event(2));
  await offer(event(3), event(2));
  expect(ids()).toEqual(["teller-1-0", "teller-2-0", "teller-3-0"]);
  expect(strays).toEqual([[1, "it cannot be read"]]);
  expect(duplicates()).toBe(1);
  expect(tail.placeAfter(3)).toEqual({ position: 2, index: 1, offset: 5 });
});

it("whoever has the log takes nothing of another one for it", async () => {
  const { offer, ids, strays } = tailOf("ours");
  await offer(event(1), event(9, { logid: "another" }), event(2));
  expect(ids()).toEqual(["teller-1-0", "teller-2-0"]);
  expect(strays.map(([at]) => at)).toEqual([1]);
});

it("the place moves on behind what was passed over, so that it is not read again", async () => {
  const { offer, tail, strays } = tailOf();
  await offer(message({ id: "teller-4-0" }), message({}, "garbage"));
  expect(tail.isAhead).toBe(true);
  expect(tail.placeAfter(0)).toEqual({ position: 0, index: 0, offset: 2 });
  expect(strays).toHaveLength(2);
});
