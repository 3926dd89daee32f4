// Kafka on this machine, one node, for development and tests: jars by Maven, run by the Java that is there.
import { spawn, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { hasProgram, installPackages } from "../debian.mjs";
import { freePort } from "./free-port.mjs";

const pom = fileURLToPath(new URL("pom.xml", import.meta.url));
const version = /kafka_2\.13<\/artifactId>\s*<version>([^<]+)/.exec(readFileSync(pom, "utf8"))[1];
const cache = process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache");
const jars = join(cache, "holdfast", `kafka-${version}`);
export const classPath = join(jars, "*");

const diesWithParent = process.platform === "linux" && hasProgram("setpriv");

export function isInstalled() {
  return existsSync(jars) && hasProgram("java");
}

/** What is missing of it in the distribution. */
export function packages() {
  return [
    ...(hasProgram("java") ? [] : ["default-jre-headless"]),
    ...(hasProgram("mvn") || existsSync(jars) ? [] : ["maven"]),
  ];
}

/** Java and Maven from the distribution when they are missing (that takes root), then Kafka's jars. */
export function install() {
  const missing = packages();
  if (missing.length > 0) installPackages(missing, "Kafka needs Java 17 or newer, and Maven");
  installJars();
}

export function installJars() {
  if (!existsSync(jars)) copyJars();
}

/**
 * Resolves once it answers. Started again with the same directory and port, it goes on with what it had, whichever way
 * it ended. It ends with this process at the latest, where the system can do that.
 */
export async function start({ directory, port, onLine, properties = {}, formatArguments = [] }) {
  mkdirSync(directory, { recursive: true });
  const settings = join(directory, "server.properties");
  writeFileSync(settings, linesOf({ ...(await serverProperties(directory, port)), ...properties }));
  const logging = join(directory, "log4j.properties");
  writeFileSync(logging, linesOf(loggingProperties(directory)));
  if (!existsSync(join(directory, "data", "meta.properties"))) format(settings, logging, formatArguments);

  const java = ["java", ...javaOptions(logging), "kafka.Kafka", settings];
  const [program, ...words] = diesWithParent ? ["setpriv", "--pdeathsig", "KILL", ...java] : java;
  // A Ctrl-C on the terminal is for us, and we tell the broker: hence a process group of its own.
  const server = spawn(program, words, { stdio: ["ignore", "pipe", "pipe"], detached: true });
  const exited = once(server, "exit");
  await startedUp(server, join(directory, "kafka.log"), onLine);
  async function end(signal) {
    if (server.exitCode === null && server.signalCode === null) server.kill(signal);
    await exited;
  }
  return {
    brokers: `127.0.0.1:${port}`,
    pid: server.pid,
    kill: () => end("SIGKILL"),
    stop: () => end("SIGTERM"),
  };
}

async function serverProperties(directory, port) {
  const controllerPort = await freePort();
  return {
    "process.roles": "broker,controller",
    "node.id": 1,
    "controller.quorum.voters": `1@127.0.0.1:${controllerPort}`,
    listeners: `CLIENT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}`,
    "advertised.listeners": `CLIENT://127.0.0.1:${port}`,
    "listener.security.protocol.map": "CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "inter.broker.listener.name": "CLIENT",
    "controller.listener.names": "CONTROLLER",
    "log.dirs": join(directory, "data"),
    "auto.create.topics.enable": false,
    // After a crash it waits until it counts as gone, before it may come back.
    "broker.session.timeout.ms": 2_000,
    "broker.heartbeat.interval.ms": 500,
    "initial.broker.registration.timeout.ms": 240_000,
    "group.initial.rebalance.delay.ms": 0,
    "group.min.session.timeout.ms": 500,
    "offsets.topic.num.partitions": 4,
    "offsets.topic.replication.factor": 1,
    "transaction.state.log.num.partitions": 1,
    "transaction.state.log.replication.factor": 1,
    "transaction.state.log.min.isr": 1,
    "log.cleaner.dedupe.buffer.size": 4 * 2 ** 20,
    // Files of their full size would fill a small disk: two of 10 MB for the indexes of each partition.
    "log.index.size.max.bytes": 2 ** 20,
  };
}

/** What it has to say goes to a file; only that it is up is told to us. */
function loggingProperties(directory) {
  return {
    "log4j.rootLogger": "WARN, file",
    "log4j.logger.kafka.server.KafkaRaftServer": "INFO, console",
    "log4j.appender.file": "org.apache.log4j.RollingFileAppender",
    "log4j.appender.file.File": join(directory, "kafka.log"),
    "log4j.appender.file.MaxFileSize": "10MB",
    "log4j.appender.file.MaxBackupIndex": 1,
    "log4j.appender.file.layout": "org.apache.log4j.PatternLayout",
    "log4j.appender.file.layout.ConversionPattern": "%d{ISO8601} %p %c{1} %m%n",
    "log4j.appender.console": "org.apache.log4j.ConsoleAppender",
    "log4j.appender.console.layout": "org.apache.log4j.PatternLayout",
    "log4j.appender.console.layout.ConversionPattern": "%m%n",
  };
}

function javaOptions(logging) {
  return [
    "-Xms96m",
    "-Xmx384m",
    "-XX:+UseSerialGC",
    // It runs for minutes at most: what it would gain by compiling better, it would not earn back.
    "-XX:TieredStopAtLevel=1",
    "-XX:+ExitOnOutOfMemoryError",
    "-Djava.awt.headless=true",
    `-Dlog4j.configuration=file:${logging}`,
    "-cp",
    classPath,
  ];
}

/** A directory gets the identity of its cluster before the first start. */
function format(settings, logging, formatArguments) {
  const clusterId = randomBytes(16).toString("base64url").replace(/^-/, "A");
  const tool = ["kafka.tools.StorageTool", "format", "-t", clusterId, "-c", settings, ...formatArguments];
  const run = spawnSync("java", [...javaOptions(logging), ...tool], {
    encoding: "utf8",
  });
  if (run.status !== 0) throw new Error(`Kafka's storage was not formatted: ${run.stdout}${run.stderr}`);
}

async function startedUp(server, logFile, onLine) {
  const lines = createInterface({ input: server.stdout });
  let trouble = "";
  server.stderr.setEncoding("utf8").on("data", (text) => {
    trouble = (trouble + text).slice(-4_000);
  });
  await new Promise((resolve, reject) => {
    lines.on("line", (line) => {
      onLine?.(line);
      if (line.includes("Kafka Server started")) resolve();
    });
    server.once("error", reject);
    server.once("exit", () => {
      const log = existsSync(logFile) ? readFileSync(logFile, "utf8").slice(-4_000) : "";
      reject(new Error(`Kafka ended while it started; the end of ${logFile}:\n${log}${trouble}`));
    });
  });
}

function copyJars() {
  const partly = `${jars}-${process.pid}`;
  download("mvn", ["-q", "-B", "-f", pom, "dependency:copy-dependencies", `-DoutputDirectory=${partly}`]);
  // Whoever finds the folder finds all of it.
  rmSync(jars, { recursive: true, force: true });
  renameSync(partly, jars);
}

const downloadTries = 3;

/** What one try has downloaded stays in Maven's repository for the next. */
function download(program, options) {
  for (let tries = 0; tries < downloadTries; tries++) {
    const done = spawnSync(program, options, { stdio: ["ignore", "inherit", "inherit"] });
    if (done.status === 0) return;
  }
  throw new Error(
    `\`${program} ${options.join(" ")}\` failed. Put right what it says above, then start again.`,
  );
}

function linesOf(properties) {
  const lines = Object.entries(properties).map(([name, value]) => `${name}=${value}`);
  return `${lines.join("\n")}\n`;
}
