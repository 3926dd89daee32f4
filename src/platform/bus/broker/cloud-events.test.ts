import { describe, expect, it } from "vitest";
import { attributesOf, unfold } from "./cloud-events.ts";

describe("headers of the binary mode", () => {
  it.each([
    ["Kafka", { ce_id: "1", ce_type: "T" }, { id: "1", type: "T" }],
    ["AMQP", { "cloudEvents:id": "1", cloudEvents_type: "T" }, { id: "1", type: "T" }],
    ["HTTP", { "ce-id": "1", "Content-Type": "text/plain" }, { id: "1", datacontenttype: "text/plain" }],
    ["bytes", { ce_id: Buffer.from("ü") }, { id: "ü" }],
    [
      "other types",
      { ce_n: 5, ce_b: true, ce_d: new Date(0), ce_x: null, ce_o: {} },
      { n: "5", b: "true", d: "1970-01-01T00:00:00.000Z" },
    ],
    ["a plain trace", { traceparent: "00-c-d-01" }, { traceparent: "00-c-d-01" }],
    ["two traces", { traceparent: "00-c-d-01", ce_traceparent: "00-a-b-01" }, { traceparent: "00-a-b-01" }],
    ["headers of others", { "x-request-id": "7", cell: "8" }, {}],
  ])("are understood in the spelling of %s", (_, headers, expected) => {
    expect(attributesOf(headers)).toEqual(expected);
  });
});

describe("unfolding", () => {
  const event = { id: "1", source: "/erp", specversion: "1.0", type: "T" };
  it.each([
    ["data", { ...event, data: { a: [1] } }, '{"a":[1]}'],
    ["data that is a string", { ...event, data: "a" }, '"a"'],
    ["data that is null", { ...event, data: null }, "null"],
    ["no data", event, ""],
    ["bytes", { ...event, data_base64: Buffer.from('{"ü":1}').toString("base64") }, '{"ü":1}'],
  ])("takes %s out of an event in structured mode", (_, structured, body) => {
    const unfolded = unfold("application/cloudevents+json; charset=utf-8", {}, JSON.stringify(structured));
    expect(unfolded).toEqual({ attributes: event, body });
  });

  it("says of data that is nested too deeply that it cannot be read, and whose it is", () => {
    const data = `${"[".repeat(50_000)}${"]".repeat(50_000)}`;
    const structured = `${JSON.stringify(event).slice(0, -1)},"data":${data}}`;
    expect(unfold("application/cloudevents+json", {}, structured)).toEqual({
      attributes: event,
      body: structured,
      unreadable: "The event's data cannot be read: Maximum call stack size exceeded.",
    });
  });

  it("leaves text that is not JSON as it is", () => {
    const structured = { ...event, datacontenttype: "text/plain", data: "a\nb" };
    const { body } = unfold("application/cloudevents+json", {}, JSON.stringify(structured));
    expect(body).toBe("a\nb");
  });

  it("takes the binary mode as it is", () => {
    expect(unfold("application/json", { ce_id: "1" }, "{}")).toEqual({
      attributes: { id: "1", datacontenttype: "application/json" },
      body: "{}",
    });
    expect(unfold(undefined, { ce_id: "1" }, "{}")).toEqual({ attributes: { id: "1" }, body: "{}" });
  });

  it.each(["{", "[]", "null", "5", ""])(
    "hands on %s, which is no event, without an event's attributes",
    (body) => {
      const contentType = "application/cloudevents+json";
      expect(unfold(contentType, {}, body)).toEqual({ attributes: { datacontenttype: contentType }, body });
    },
  );
});
