import { connect, type Socket } from "node:net";
import { summary } from "./load.ts";

/**
 * The load of the http benchmark, in a process of its own. It speaks HTTP over raw sockets: on two cores a whole HTTP
 * client would take more from the server than the requests do. Each connection sends when it has been answered.
 */
export interface HttpLoad {
  readonly port: number;
  readonly connections: number;
  readonly seconds: number;
  readonly warmUpSeconds: number;
  readonly kind: "empty" | "reserve" | "batch" | "availability";
  readonly skus: readonly string[];
  readonly batchSize: number;
}

const load = JSON.parse(process.argv[2]!) as HttpLoad;
const start = performance.now() + load.warmUpSeconds * 1_000;
const end = start + load.seconds * 1_000;
const durations: number[] = [];
let sent = 0;

const lineOf = (n: number) => ({ store_id: "main", sku: load.skus[n % load.skus.length]!, quantity: 1 });

function request(): string {
  const line = lineOf(sent);
  const n = `${load.kind}-${process.pid}-${sent++}`;
  if (load.kind === "availability") {
    return `GET /v1/availability?sku=${line.sku} HTTP/1.1\r\nhost: bench\r\n\r\n`;
  }
  if (load.kind === "empty") return "GET /livez HTTP/1.1\r\nhost: bench\r\n\r\n";
  if (load.kind === "reserve") return withBody(`PUT /v1/reservations/${n}`, { lines: [line] });
  const reservations = Array.from({ length: load.batchSize }, (_, i) => ({ id: `${n}-${i}`, lines: [line] }));
  return withBody("POST /v1/reservations/batch", { reservations });
}

function withBody(target: string, body: object): string {
  const json = JSON.stringify(body);
  return `${target} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\ncontent-length: ${json.length}\r\n\r\n${json}`;
}

const good = load.kind === "reserve" ? "201" : "200";

function converse(socket: Socket, done: () => void): void {
  let began = 0;
  let missing = 0; // bytes of the answer that are still to come
  const send = () => {
    began = performance.now();
    socket.write(request());
  };
  socket.on("data", (chunk) => {
    if (missing === 0) missing = lengthOf(chunk);
    missing -= chunk.length;
    if (missing > 0) return;
    const now = performance.now();
    if (began >= start && now <= end) durations.push(now - began);
    if (now < end) send();
    else {
      socket.end();
      done();
    }
  });
  socket.once("error", (error) => {
    throw error;
  });
  send();
}

function lengthOf(answer: Buffer): number {
  const status = answer.toString("latin1", 9, 12);
  const head = answer.indexOf("\r\n\r\n");
  if (status !== good || head < 0) throw new Error(`the server answered ${answer.toString("utf8", 0, 400)}`);
  const length = /content-length: (\d+)/i.exec(answer.toString("latin1", 0, head))?.[1];
  return head + 4 + Number(length);
}

await Promise.all(
  Array.from(
    { length: load.connections },
    () =>
      new Promise<void>((done) => {
        const socket = connect(load.port, "127.0.0.1", () => converse(socket, done));
        socket.setNoDelay(true);
      }),
  ),
);
console.log(JSON.stringify({ ...summary(durations, load.seconds), calls: sent }));
