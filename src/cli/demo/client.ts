import { Agent, request } from "node:http";

export interface Answer {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: the callers know what they have asked for.
  readonly body: any;
}

/** Asks a server as a shop would: over HTTP, on connections that are kept. */
export class Client {
  private readonly url: string;
  private readonly agent: Agent;

  constructor(url: string, connections: number) {
    this.url = url;
    this.agent = new Agent({ keepAlive: true, maxSockets: connections });
  }

  get(path: string): Promise<Answer> {
    return this.ask("GET", path);
  }

  put(path: string, body: object): Promise<Answer> {
    return this.ask("PUT", path, body);
  }

  post(path: string, body?: object, headers?: Record<string, string>): Promise<Answer> {
    return this.ask("POST", path, body, headers);
  }

  close(): void {
    this.agent.destroy();
  }

  private ask(
    method: string,
    path: string,
    body?: object,
    headers: Record<string, string> = {},
  ): Promise<Answer> {
    const json = body === undefined ? undefined : JSON.stringify(body);
    const type = json === undefined ? {} : { "content-type": "application/json" };
    return new Promise((resolve, reject) => {
      const call = request(
        this.url + path,
        { method, agent: this.agent, headers: { ...type, ...headers } },
        (response) => {
          const chunks: Buffer[] = [];
          response.on("data", (chunk: Buffer) => chunks.push(chunk));
          response.on("error", reject);
          response.on("end", () => {
            const text = Buffer.concat(chunks).toString();
            resolve({
              status: response.statusCode ?? 0,
              body: text === "" ? undefined : JSON.parse(text),
            });
          });
        },
      );
      call.on("error", reject);
      call.end(json);
    });
  }
}

/** Asks, and throws unless the answer is good: for the parts of a demo that cannot be refused. */
export async function mustSucceed(answer: Promise<Answer>): Promise<Answer["body"]> {
  const { status, body } = await answer;
  if (status >= 300) throw new Error(`the server answered ${status}: ${JSON.stringify(body)}`);
  return body;
}

/** Does `work` for all items, so many at a time, in their order. */
export async function inParallel<Item>(
  items: Iterable<Item> | AsyncIterable<Item>,
  atOnce: number,
  work: (item: Item) => Promise<void>,
): Promise<void> {
  const running = new Set<Promise<void>>();
  for await (const item of items) {
    const task = work(item).finally(() => running.delete(task));
    running.add(task);
    if (running.size >= atOnce) await Promise.race(running);
  }
  await Promise.all(running);
}
