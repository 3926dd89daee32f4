import { spawn } from "node:child_process";
import { once } from "node:events";

/** What scripts/brokers/kafka.mjs says of where Kafka's own programs are. */
const { classPath }: { readonly classPath: string } = await import(
  new URL("../../scripts/brokers/kafka.mjs", import.meta.url).href
);

export type Codec = "none" | "gzip" | "snappy" | "lz4" | "zstd";

/** However slow Java is, its patience does not run out, and it sends together what fits, at the end at the latest. */
const patience = ["--request-timeout-ms=60000", "--message-send-max-retries=1000", "--timeout=60000"];

/** As anybody's Java client would: one message for each line, compressed together. */
export async function sendFromJava(
  brokers: string,
  topic: string,
  codec: Codec,
  lines: readonly string[],
): Promise<void> {
  const settings = ["--bootstrap-server", brokers, "--topic", topic, "--compression-codec", codec];
  const java = spawn("java", ["-cp", classPath, "kafka.tools.ConsoleProducer", ...settings, ...patience], {
    stdio: ["pipe", "ignore", "ignore"],
  });
  java.stdin.end(lines.map((line) => `${line}\n`).join(""));
  const [status] = await once(java, "exit");
  if (status !== 0) throw new Error(`Kafka's ConsoleProducer ended with ${status}`);
}
