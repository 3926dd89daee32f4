import { expect, it } from "vitest";
import { attributesOf } from "../broker/cloud-events.ts";
import { propertiesOf } from "./messages.ts";

const attributes = {
  id: "1",
  source: "/erp",
  specversion: "1.0",
  type: "StockCounted",
  datacontenttype: "application/json",
  traceparent: "00-a-b-01",
};
const { headers, contentType } = propertiesOf({ key: "A", attributes, body: "{}" });

it("spells every attribute as a header but the content type; the trace is there for tracers too", () => {
  expect({ headers, contentType }).toEqual({
    headers: {
      "cloudEvents:id": "1",
      "cloudEvents:source": "/erp",
      "cloudEvents:specversion": "1.0",
      "cloudEvents:type": "StockCounted",
      "cloudEvents:traceparent": "00-a-b-01",
      traceparent: "00-a-b-01",
    },
    contentType: "application/json",
  });
});

it("says the same when it is read", () => {
  expect(attributesOf({ ...headers, "content-type": contentType })).toEqual(attributes);
});
