// `npm run brokers`: Kafka and RabbitMQ on this machine until Ctrl-C, for the server to use as its bus.
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { freePort } from "./brokers/free-port.mjs";
import * as kafka from "./brokers/kafka.mjs";
import * as rabbitmq from "./brokers/rabbitmq.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const brokers = {
  kafka: {
    title: "Kafka",
    script: kafka,
    usualPort: 9092,
    next: (running) => `HOLDFAST_BUS=kafka HOLDFAST_KAFKA_BROKERS=${running.brokers} npm start`,
  },
  rabbitmq: {
    title: "RabbitMQ",
    script: rabbitmq,
    usualPort: 5672,
    next: (running) => `HOLDFAST_BUS=rabbitmq HOLDFAST_RABBITMQ_URL=${running.url} npm start`,
  },
};
const usage = `npm run brokers -- [--install] [--kafka] [--rabbitmq]

Runs Kafka and RabbitMQ in the foreground, with their data in .holdfast/brokers; Ctrl-C stops them.
  --install    installs what is missing first: as root, with apt-get (and Maven for Kafka's jars)
  --kafka      only Kafka
  --rabbitmq   only RabbitMQ`;

const running = [];

try {
  await main(readOptions());
} catch (error) {
  console.error(error.message);
  await stopAll();
  process.exit(1);
}

function readOptions() {
  const options = {
    install: { type: "boolean" },
    kafka: { type: "boolean" },
    rabbitmq: { type: "boolean" },
    help: { type: "boolean", short: "h" },
  };
  try {
    return parseArgs({ options }).values;
  } catch (error) {
    throw new Error(`${error.message}\n\n${usage}`);
  }
}

async function main(options) {
  if (options.help) return console.log(usage);
  const all = Object.keys(brokers);
  const named = all.filter((name) => options[name]);
  const wanted = named.length > 0 ? named : all;
  const missing = wanted.filter((name) => !brokers[name].script.isInstalled());
  if (options.install) {
    for (const name of missing) install(brokers[name]);
  } else if (missing.length > 0) {
    const words = missing.map((name) => `--${name}`).join(" ");
    const titles = missing.map((name) => brokers[name].title).join(" and ");
    throw new Error(`Not installed here: ${titles}. To install: npm run brokers -- --install ${words}`);
  }
  for (const signal of ["SIGINT", "SIGTERM"])
    process.once(signal, () => stopAll().then(() => process.exit(0)));
  for (const name of wanted) await start(name);
  console.log("\nCtrl-C stops them; what they hold stays in .holdfast/brokers.");
}

function install({ title, script }) {
  console.log(`Installing ${title} …`);
  script.install();
}

async function start(name) {
  const { title, script, usualPort, next } = brokers[name];
  console.log(`Starting ${title} …`);
  const port = await freePort(usualPort);
  const broker = await script.start({ directory: join(root, ".holdfast", "brokers", name), port });
  running.push(broker);
  console.log(
    `${title} listens on ${broker.brokers ?? broker.url} (process ${broker.pid}). Next:\n  ${next(broker)}`,
  );
}

async function stopAll() {
  if (running.length > 0) console.log("Stopping …");
  await Promise.all(running.splice(0).map((broker) => broker.stop()));
}
