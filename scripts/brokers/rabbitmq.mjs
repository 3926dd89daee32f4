// A RabbitMQ of one's own for tests and trials: everything it writes is in one directory, and nothing but loopback
// reaches it.
import { spawn, spawnSync } from "node:child_process";
import { EventEmitter } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { installPackages } from "../debian.mjs";
import { freePort } from "./free-port.mjs";

// Debian's /usr/sbin/rabbitmq-server changes the user and writes to /var/log; the one behind it does neither.
const programs = [
  "/usr/lib/rabbitmq/bin/rabbitmq-server",
  "/opt/homebrew/opt/rabbitmq/sbin/rabbitmq-server",
  "/usr/local/opt/rabbitmq/sbin/rabbitmq-server",
];
const startTimeoutMs = 240_000;
const stopTimeoutMs = 30_000;

export function isInstalled() {
  return program() !== undefined && has("epmd", "-names");
}

function program() {
  return programs.find((path) => existsSync(path));
}

/** False only when there is no such command: what it answers does not matter. */
function has(command, ...args) {
  return spawnSync(command, args, { stdio: "ignore" }).error === undefined;
}

/** What is missing of it in the distribution. */
export function packages() {
  return isInstalled() ? [] : ["rabbitmq-server"];
}

/** Throws with what to do when it cannot. */
export function install() {
  const missing = packages();
  if (missing.length > 0)
    installPackages(missing, "RabbitMQ 3.10 or newer is needed (macOS: brew install rabbitmq)");
}

/**
 * Started again with the same directory and port, it goes on with what it had, whichever way it ended. It ends with
 * this process at the latest, where the system can do that.
 */
export async function start({ directory, port, onLine = () => {}, properties = {} }) {
  await mkdir(directory, { recursive: true });
  const lines = Object.entries(configuration).map(([name, value]) => `${name} = ${value}\n`);
  await writeFile(join(directory, "rabbitmq.conf"), lines.join(""));
  await writeFile(join(directory, "enabled_plugins"), "[].\n");
  const epmdPort = await freePort();
  const distributionPort = await freePort();
  const env = environment({ directory, port, properties }, epmdPort, distributionPort);
  // Erlang would leave one running for everybody. It must be there first: otherwise the broker starts its own.
  const epmd = child("epmd", ["-address", "127.0.0.1", "-port", String(epmdPort)], env, onLine);
  await untilListening(epmdPort, epmd);
  const broker = child(program(), [], env, onLine);
  try {
    await untilSays(broker, "completed with");
  } catch (error) {
    await end([broker, epmd], "SIGKILL");
    throw error;
  }
  return {
    url: `amqp://guest:guest@127.0.0.1:${port}`,
    pid: broker.process.pid,
    /** As a crash: nothing is finished or written any more. */
    kill: () => end([broker, epmd], "SIGKILL"),
    async stop() {
      await end([broker], "SIGTERM");
      await end([epmd], "SIGKILL");
    },
  };
}

const configuration = {
  // A busy small machine shall not make the broker hold its publishers back.
  "vm_memory_high_watermark.relative": "0.8",
  "disk_free_limit.absolute": "50MB",
  "log.console": "true",
  "log.console.level": "warning",
  "log.file": "false",
};

function environment({ directory, port, properties }, epmdPort, distributionPort) {
  const settings = Object.entries(properties).map(([name, value]) => `-rabbit ${name} ${value}`);
  return {
    PATH: process.env.PATH,
    LANG: "C.UTF-8",
    HOME: directory, // where Erlang keeps its cookie
    ERL_EPMD_ADDRESS: "127.0.0.1",
    ERL_EPMD_PORT: String(epmdPort),
    RABBITMQ_CONF_ENV_FILE: "/dev/null",
    RABBITMQ_CONFIG_FILE: join(directory, "rabbitmq.conf"),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(directory, "enabled_plugins"),
    // The name is part of the data: another one would begin anew.
    RABBITMQ_NODENAME: `holdfast-${port}@localhost`,
    RABBITMQ_NODE_IP_ADDRESS: "127.0.0.1",
    RABBITMQ_NODE_PORT: String(port),
    RABBITMQ_DIST_PORT: String(distributionPort),
    RABBITMQ_MNESIA_BASE: join(directory, "data"),
    RABBITMQ_LOG_BASE: join(directory, "log"),
    RABBITMQ_PID_FILE: join(directory, "pid"),
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: `-kernel inet_dist_use_interface {127,0,0,1} +S 2:2 ${settings.join(" ")}`,
    ERL_CRASH_DUMP: join(directory, "erl_crash.dump"),
    // Has the script become the broker instead of waiting for it, so that a signal reaches the broker.
    detached: "true",
  };
}

function child(command, args, env, onLine) {
  const words = diesWithParent ? ["setpriv", "--pdeathsig", "KILL", command, ...args] : [command, ...args];
  const started = spawn(words[0], words.slice(1), { env, stdio: ["ignore", "pipe", "pipe"] });
  const ended = new Promise((resolve) => {
    started.once("error", resolve).once("exit", resolve);
  });
  const lines = new EventEmitter();
  const said = [];
  for (const stream of [started.stdout, started.stderr]) {
    createInterface(stream).on("line", (line) => lines.emit("line", line));
  }
  lines.on("line", onLine).on("line", (line) => {
    said.push(line);
    if (said.length > 50) said.shift();
  });
  return { process: started, ended, lines, said };
}

const diesWithParent = process.platform === "linux" && has("setpriv", "--version");

async function end(children, signal) {
  for (const { process } of children) process.kill(signal);
  for (const { process, ended } of children) {
    const impatience = setTimeout(() => process.kill("SIGKILL"), stopTimeoutMs);
    await ended;
    clearTimeout(impatience);
  }
}

/** It says so once its queues are back and it takes connections; before that it may refuse what it will know later. */
async function untilSays(broker, text) {
  const impatience = setTimeout(() => broker.process.kill("SIGKILL"), startTimeoutMs);
  const hears = new Promise((resolve) => {
    broker.lines.on("line", (line) => line.includes(text) && resolve(true));
  });
  const isStarted = await Promise.race([hears, broker.ended.then(() => false)]);
  clearTimeout(impatience);
  if (!isStarted) throw new Error(`RabbitMQ did not start. It said:\n${broker.said.join("\n")}`);
}

async function untilListening(port, { process, ended }) {
  let hasEnded = false;
  ended.then(() => {
    hasEnded = true;
  });
  while (!hasEnded) {
    if (await isListening(port)) return;
    await pause(20);
  }
  throw new Error(`${process.spawnfile} ended at once.`);
}

function isListening(port) {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    socket.once("connect", () => socket.destroy());
  });
}
