import { hash, randomBytes } from "node:crypto";
import { fileURLToPath } from "node:url";
import type { Pool } from "pg";
import { v7 as uuidv7 } from "uuid";
import type { MigrationSet } from "../postgres/migrate.ts";
import type { Scope } from "./scopes.ts";

export interface ApiKey {
  readonly id: string;
  readonly name: string;
  readonly prefix: string;
  readonly scopes: readonly Scope[];
  readonly created_at: Date;
  readonly revoked_at: Date | null;
}

export type Database = Pick<Pool, "query">;

export const apiKeyMigrations: MigrationSet = {
  schema: "platform",
  name: "api_keys",
  directory: fileURLToPath(new URL("migrations", import.meta.url)),
};

const columns = "id, name, prefix, scopes, created_at, revoked_at";
const nameFormat = /^[^\p{Cc}\p{Cs}]{1,64}$/u;
const tokenFormat = /^hf_[A-Za-z0-9_-]{43}$/;

/** Makes a key and returns its token, which is stored nowhere and cannot be shown again. */
export async function createKey(
  database: Database,
  { name, scopes }: { name: string; scopes: readonly Scope[] },
): Promise<{ key: ApiKey; token: string }> {
  const token = `hf_${randomBytes(32).toString("base64url")}`;
  const { rows } = await database.query<ApiKey>(
    `insert into platform.api_keys (id, name, key_hash, prefix, scopes)
     values ($1, $2, $3, $4, $5) returning ${columns}`,
    [uuidv7(), name, Buffer.from(hashToken(token), "hex"), token.slice(0, 10), scopes],
  );
  return { key: rows[0]!, token };
}

export async function listKeys(database: Database): Promise<ApiKey[]> {
  const { rows } = await database.query<ApiKey>(`select ${columns} from platform.api_keys order by id`);
  return rows;
}

/** False when there is no such key; revoking twice keeps the first time. */
export async function revokeKey(database: Database, id: string): Promise<boolean> {
  const { rowCount } = await database.query(
    "update platform.api_keys set revoked_at = coalesce(revoked_at, now()) where id::text = $1",
    [id],
  );
  return rowCount === 1;
}

export async function countActiveKeys(database: Database): Promise<number> {
  const { rows } = await database.query<{ count: number }>(
    "select count(*)::int as count from platform.api_keys where revoked_at is null",
  );
  return rows[0]!.count;
}

/** Every key ever made by the hash of its token, revoked ones included. */
export async function loadKeysByHash(database: Database): Promise<Map<string, ApiKey>> {
  const { rows } = await database.query<ApiKey & { hash: string }>(
    `select ${columns}, encode(key_hash, 'hex') as hash from platform.api_keys`,
  );
  return new Map(rows.map(({ hash, ...key }) => [hash, key]));
}

export function isKeyName(text: string): boolean {
  return nameFormat.test(text);
}

export function isToken(text: string): boolean {
  return tokenFormat.test(text);
}

/** A slow hash protects guessable passwords; a token has 256 random bits, which nobody guesses at any speed. */
export function hashToken(token: string): string {
  return hash("sha256", token, "hex");
}
