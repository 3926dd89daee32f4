import { isIP } from "node:net";
import type { ConnectionOptions as TlsOptions } from "node:tls";
import { type API, Connection, ResponseError, type SASLOptions } from "@platformatic/kafka";
import type { Health } from "./health.ts";

export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface ConnectionSettings {
  readonly clientId: string;
  readonly timeoutMs: number;
  readonly tls: TlsOptions | undefined;
  readonly sasl: SASLOptions | undefined;
  readonly health: Health;
}

/**
 * One connection to each broker. A broker answers what comes in on a connection in its order, so whatever takes long,
 * such as waiting for messages, has connections of its own.
 */
export class Connections {
  private readonly settings: ConnectionSettings;
  private readonly open = new Map<string, Promise<Connection>>();
  private isClosed = false;

  constructor(settings: ConnectionSettings) {
    this.settings = settings;
  }

  async request<A extends unknown[], R>(address: Address, api: API<A, R>, ...args: A): Promise<R> {
    const connection = await this.to(address);
    try {
      const response = await api.async(connection, ...args);
      this.settings.health.up();
      return response;
    } catch (error) {
      // After anything but an answer, a late one may still come in between those to later requests.
      if (!(error instanceof ResponseError)) connection.socket.destroy();
      throw error;
    }
  }

  /** Breaks off what is under way; the next request connects anew. */
  interrupt(): void {
    for (const opening of this.open.values())
      opening.then((connection) => connection.socket.destroy(), ignore);
    this.open.clear();
  }

  close(): void {
    this.isClosed = true;
    this.interrupt();
  }

  private to(address: Address): Promise<Connection> {
    const key = `${address.host}:${address.port}`;
    const existing = this.open.get(key);
    if (existing) return existing;
    const opening = this.connect(address);
    this.open.set(key, opening);
    const forget = () => {
      if (this.open.get(key) === opening) this.open.delete(key);
    };
    opening.then((connection) => {
      if (connection.isConnected()) connection.once("close", forget);
      else forget();
    }, forget);
    return opening;
  }

  private async connect({ host, port }: Address): Promise<Connection> {
    if (this.isClosed) throw new Error("The connections to Kafka are closed.");
    const { clientId, timeoutMs, tls, sasl, health } = this.settings;
    const connection = new Connection(clientId, {
      connectTimeout: Math.min(3_000, timeoutMs),
      requestTimeout: timeoutMs,
      ...(tls && { tls, tlsServerName: isIP(host) === 0 }),
      ...(sasl && { sasl }),
    });
    // Whoever waits for an answer hears of the trouble there; without a listener it would end the process.
    connection.on("error", ignore);
    try {
      await connection.connect(host, port);
    } catch (error) {
      connection.socket?.destroy();
      throw error;
    }
    connection.once("close", () => {
      if (!this.isClosed) health.suspect();
    });
    if (this.isClosed) connection.socket.destroy();
    return connection;
  }
}

function ignore(): void {}
