import { execFileSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { expect, inject, it } from "vitest";
import { describeKafka, ownKafka } from "../../../testing/brokers.ts";
import { KafkaBench, Listener, newName, numbered, until, upTo } from "../../../testing/kafka.ts";

const scramModule = "org.apache.kafka.common.security.scram.ScramLoginModule required;";

describeKafka("Kafka behind TLS and passwords", () => {
  const { keystore, ca } = createCertificate();
  const kafka = ownKafka({
    properties: {
      "listener.security.protocol.map": "CLIENT:SASL_SSL,CONTROLLER:PLAINTEXT",
      "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
      "sasl.mechanism.inter.broker.protocol": "PLAIN",
      "listener.name.client.plain.sasl.jaas.config":
        "org.apache.kafka.common.security.plain.PlainLoginModule required " +
        'username="broker" password="of-the-broker" user_broker="of-the-broker" user_holdfast="of-holdfast";',
      "listener.name.client.scram-sha-256.sasl.jaas.config": scramModule,
      "listener.name.client.scram-sha-512.sasl.jaas.config": scramModule,
      "ssl.keystore.type": "PKCS12",
      "ssl.keystore.location": keystore,
      "ssl.keystore.password": "changeit",
      "ssl.truststore.type": "PKCS12",
      "ssl.truststore.location": keystore,
      "ssl.truststore.password": "changeit",
    },
    formatArguments: ["SCRAM-SHA-256", "SCRAM-SHA-512"].flatMap((mechanism) => [
      "--add-scram",
      `${mechanism}=[name=holdfast,password=of-holdfast]`,
    ]),
  });
  const bench = new KafkaBench(() => kafka.address);
  const account = { username: "holdfast", password: "of-holdfast" };

  it.each(["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] as const)(
    "serves who comes with %s",
    async (mechanism) => {
      const [broker, topic] = await bench.brokerWithTopic({ ssl: { ca }, sasl: { mechanism, ...account } });
      await broker.publish(topic, numbered(0, 7));
      await new Listener(broker, topic).untilHas(upTo(7));
    },
  );

  it("says so when the password is wrong", async () => {
    const sasl = { mechanism: "SCRAM-SHA-256", username: "holdfast", password: "wrong" } as const;
    const broker = bench.broker({ ssl: { ca }, sasl, requestTimeoutMs: 1_000 });
    const call = broker.publish(newName(), numbered(0, 1));
    await expect(call).rejects.toMatchObject({ code: "bus.unreachable", retryable: true });
    await until(() => /authentication/i.test(broker.state().reason ?? ""));
  });

  it("is not spoken to when its certificate cannot be trusted", async () => {
    const sasl = { mechanism: "PLAIN", ...account } as const;
    const wary = bench.broker({ ssl: true, sasl, requestTimeoutMs: 1_000 });
    await expect.poll(() => wary.ends(newName()).catch(String)).toMatch(/self-signed certificate/);
    const careless = { rejectUnauthorized: false };
    await bench.broker({ ssl: careless, sasl }).createTopics([newName()]);
  });
});

/** By the tool that comes with Java, which is there wherever Kafka runs. */
function createCertificate(): { keystore: string; ca: string } {
  const keystore = join(inject("brokersDirectory"), `${randomUUID()}.p12`);
  const store = ["-keystore", keystore, "-storetype", "PKCS12", "-storepass", "changeit", "-alias", "kafka"];
  const name = ["-dname", "CN=localhost", "-ext", "SAN=IP:127.0.0.1,DNS:localhost"];
  execFileSync("keytool", ["-genkeypair", "-keyalg", "EC", "-validity", "2", ...name, ...store], {
    stdio: "pipe",
  });
  const ca = execFileSync("keytool", ["-exportcert", "-rfc", ...store], { encoding: "utf8", stdio: "pipe" });
  return { keystore, ca };
}
