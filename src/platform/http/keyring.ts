import type { Logger } from "../telemetry/logger.ts";
import { type ApiKey, type Database, hashToken, isToken, loadKeysByHash } from "./api-keys.ts";

/** Who may call. `find` knows at once; `search` also asks for a key that may have been made a moment ago. */
export interface Keys {
  /** False while the server is open: no key was ever made. */
  readonly required: boolean;
  find(token: string): ApiKey | undefined;
  search(token: string): Promise<ApiKey | undefined>;
}

const refreshMs = 3_000;
const searchMs = 1_000;

/**
 * All keys, held in memory and reread every few seconds: no request waits for the database, however many unknown
 * keys somebody tries, and a revocation takes effect within `refreshMs`. While the database cannot be reached the
 * last known keys stay in force, since nothing could be revoked there either.
 */
export class Keyring implements Keys {
  readonly #database: Database;
  readonly #log: Logger;
  readonly #timer: NodeJS.Timeout;
  #keys: ReadonlyMap<string, ApiKey> = new Map();
  #refreshing: Promise<void> | undefined;
  #refreshedAt = 0;

  private constructor(database: Database, log: Logger) {
    this.#database = database;
    this.#log = log;
    this.#timer = setInterval(() => {
      this.refresh().catch((error) => this.#log.warn({ err: error }, "api keys could not be reread"));
    }, refreshMs).unref();
  }

  static async open(database: Database, log: Logger): Promise<Keyring> {
    const keyring = new Keyring(database, log);
    try {
      await keyring.refresh();
    } catch (error) {
      keyring.close();
      throw error;
    }
    if (!keyring.required) {
      log.warn("no API key exists yet: everybody who can reach this address may do everything");
    }
    return keyring;
  }

  /** A revoked key counts: revoking the last one must lock the door, not open it. */
  get required(): boolean {
    return this.#keys.size > 0;
  }

  find(token: string): ApiKey | undefined {
    // No timing to learn from: what is compared is a hash, whose bytes the caller cannot choose.
    const key = isToken(token) ? this.#keys.get(hashToken(token)) : undefined;
    return key?.revoked_at === null ? key : undefined;
  }

  async search(token: string): Promise<ApiKey | undefined> {
    if (isToken(token) && performance.now() - this.#refreshedAt > searchMs) await this.refresh();
    return this.find(token);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  /** Rereads the keys now; callers that come meanwhile share the one query. */
  refresh(): Promise<void> {
    this.#refreshing ??= this.#reload().finally(() => {
      this.#refreshing = undefined;
    });
    return this.#refreshing;
  }

  async #reload(): Promise<void> {
    // Set before the query: an unreachable database is not asked more often than a reachable one.
    this.#refreshedAt = performance.now();
    const keys = await loadKeysByHash(this.#database);
    if (!this.required && keys.size > 0) this.#log.info("API keys are required");
    this.#keys = keys;
  }
}
