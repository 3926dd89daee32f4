import { describeRabbitmq } from "../../../testing/brokers.ts";
import { describeBus } from "../../../testing/bus-contract/index.ts";
import { abilitiesOf, useBus } from "../../../testing/buses.ts";

describeRabbitmq("on RabbitMQ", () => {
  describeBus("RabbitMQ", useBus("rabbitmq", 3_600_000), abilitiesOf.rabbitmq);
});
