import { describeBus } from "../../../testing/bus-contract/index.ts";
import { abilitiesOf, useBus } from "../../../testing/buses.ts";

describeBus("PostgreSQL", useBus("postgres", 3_600_000), abilitiesOf.postgres);
