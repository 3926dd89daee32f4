import { describeKafka } from "../../../testing/brokers.ts";
import { describeBus } from "../../../testing/bus-contract/index.ts";
import { abilitiesOf, useBus } from "../../../testing/buses.ts";

describeKafka("on Kafka", () => {
  describeBus("Kafka", useBus("kafka", 3_600_000), abilitiesOf.kafka);
});
