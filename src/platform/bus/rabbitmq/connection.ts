import {
  type Channel,
  type ChannelModel,
  type ConfirmChannel,
  connect,
  type RecoveringChannelModel,
} from "amqplib";
import type { Logger } from "../../telemetry/logger.ts";
import type { BrokerState } from "../broker/broker.ts";
import { type OpenChannel, watched } from "./channel.ts";
import { orUnreachable, unreachable, within } from "./errors.ts";
import { unlessAborted } from "./turns.ts";

export interface TlsOptions {
  readonly ca?: string | Buffer;
  readonly cert?: string | Buffer;
  readonly key?: string | Buffer;
  readonly rejectUnauthorized?: boolean;
}

export interface ConnectionOptions {
  readonly url: string;
  /** Shown in the broker's list of connections. */
  readonly name: string;
  readonly tls: TlsOptions | undefined;
  readonly timeoutMs: number;
  readonly logger: Logger;
}

const firstPauseMs = 100;
const longestPauseMs = 5_000;
// The broker's own 60 s would leave a connection that nobody answers on for three minutes.
const heartbeatSeconds = 10;

/** A connection that comes back by itself, until it is closed. */
export class Connection {
  private readonly options: ConnectionOptions;
  private readonly recovering: Promise<RecoveringChannelModel>;
  private readonly waiting = new Set<(model: ChannelModel | undefined) => void>();
  private model: ChannelModel | undefined;
  private current: BrokerState = { isUp: false, since: new Date(), reason: "not connected yet" };
  private isClosed = false;

  constructor(options: ConnectionOptions) {
    this.options = options;
    this.recovering = this.open();
  }

  get state(): BrokerState {
    return this.current;
  }

  channel(): Promise<OpenChannel> {
    return this.opened((model) => model.createChannel());
  }

  async channelUnlessAborted(signal: AbortSignal): Promise<OpenChannel> {
    const opening = this.channel();
    try {
      return await unlessAborted(signal, opening);
    } catch (error) {
      opening.then((open) => open.close()).catch(() => {});
      throw error;
    }
  }

  confirmChannel(): Promise<OpenChannel<ConfirmChannel>> {
    return this.opened((model) => model.createConfirmChannel());
  }

  async close(): Promise<void> {
    this.isClosed = true;
    for (const resume of this.waiting) resume(undefined);
    const closing = this.recovering.then((recovering) => recovering.close());
    await within(this.options.timeoutMs, "closing the connection", closing).catch(() => {});
  }

  private opened<Kind extends Channel>(
    create: (model: ChannelModel) => Promise<Kind>,
  ): Promise<OpenChannel<Kind>> {
    const what = "opening a channel";
    return orUnreachable(what, async () => {
      const model = await this.connected();
      return within(this.options.timeoutMs, what, create(model).then(watched));
    });
  }

  private async connected(): Promise<ChannelModel> {
    const model = this.model ?? (await this.nextModel());
    if (model === undefined) throw unreachable("the connection is closed");
    return model;
  }

  private async nextModel(): Promise<ChannelModel | undefined> {
    if (this.isClosed) return undefined;
    let resume: (model: ChannelModel | undefined) => void;
    const next = new Promise<ChannelModel | undefined>((resolve) => {
      resume = resolve;
    });
    this.waiting.add(resume!);
    try {
      return await within(this.options.timeoutMs, "waiting for a connection", next);
    } catch {
      throw unreachable(`no connection (${this.current.reason})`);
    } finally {
      this.waiting.delete(resume!);
    }
  }

  private async open(): Promise<RecoveringChannelModel> {
    const { tls, name, timeoutMs } = this.options;
    const recovery = { initialDelay: firstPauseMs, maxDelay: longestPauseMs, waitForConnect: false };
    const clientProperties = { connection_name: name };
    const socket = { ...tls, recovery, noDelay: true, timeout: timeoutMs, clientProperties };
    const recovering = await connect(this.urlWithHeartbeat(), socket);
    recovering.on("error", () => {}); // "disconnect" follows
    recovering.on("connect", (model) => this.goUp(model));
    recovering.on("disconnect", (error) => this.goDown(error));
    recovering.on("connect-failed", (error) => this.goDown(error));
    recovering.on("blocked", (reason) => this.warnOfBlock(reason));
    return recovering;
  }

  private urlWithHeartbeat(): string {
    const url = new URL(this.options.url);
    if (!url.searchParams.has("heartbeat")) url.searchParams.set("heartbeat", String(heartbeatSeconds));
    return url.href;
  }

  private goUp(model: ChannelModel): void {
    this.model = model;
    this.current = { isUp: true, since: new Date() };
    this.options.logger.info({ connection: this.options.name }, "connected to RabbitMQ");
    for (const resume of this.waiting) resume(model);
  }

  /** Said once for each outage, or whenever there is a new reason. */
  private goDown(error: Error): void {
    const { isUp, since, reason } = this.current;
    this.model = undefined;
    const now = reasonOf(error);
    if (!isUp && reason === now) return;
    this.current = { isUp: false, since: isUp ? new Date() : since, reason: now };
    if (!this.isClosed) {
      this.options.logger.warn(
        { connection: this.options.name, reason: now },
        "RabbitMQ cannot be reached; trying again",
      );
    }
  }

  private warnOfBlock(reason: string): void {
    this.options.logger.warn(
      { connection: this.options.name, reason },
      "RabbitMQ holds publishers back until it has room again",
    );
  }
}

function reasonOf(error: Error): string {
  // Node.js tries each address of a name, and its error has no words of its own.
  const causes = error instanceof AggregateError ? error.errors : [error];
  return [...new Set(causes.map((cause) => String(cause.message || cause.code)))].join(", ");
}
