import { type Transaction, transact } from "../../batch/transaction.ts";
import type { Pool } from "../../postgres/pool.ts";
import type { Statement } from "../../postgres/statement.ts";
import type { BusEvent, DeadLetter, DeadLetterFilter, RetryAnswer } from "../port.ts";
import { groupStatements } from "./statements.ts";

interface Address {
  readonly group: string;
  readonly id: number;
}

interface LetterRow extends Omit<DeadLetter, "id"> {
  readonly id: number;
}

/** Groups by name, within a group the oldest one first. */
export async function letters(
  pool: Pool,
  schemas: readonly string[],
  { group, status }: DeadLetterFilter,
  after: string | undefined,
  limit: number,
): Promise<{ items: DeadLetter[]; next: string | null }> {
  const groups = schemas.filter((schema) => group === undefined || schema === group);
  if (groups.length === 0) return { items: [], next: null };
  const last = parseAddress(after ?? "");
  const { rows } = await pool.query<LetterRow>(
    `select * from (${groups.map(lettersOf).join(" union all ")}) as letters
     where ($1::text is null or status = $1) and ("group" collate "C", id) > ($2, $3)
     order by "group" collate "C", id limit $4`,
    [status ?? null, last?.group ?? "", last?.id ?? 0, limit + 1],
  );
  const items = rows.slice(0, limit).map(asLetter);
  return { items, next: rows.length > limit ? items.at(-1)!.id : null };
}

function lettersOf(group: string): string {
  return `select '${group}' as "group", id, status, at, event, command, error, attempts, next_try_at
          from ${group}.dead_letters`;
}

function asLetter({ id, group, event, ...rest }: LetterRow): DeadLetter {
  return { ...rest, id: `${group}:${id}`, group, event: event && revive(event) };
}

function revive(event: BusEvent): BusEvent {
  return { ...event, at: new Date(event.at) };
}

export async function retryLetter(
  pool: Pool,
  schemas: readonly string[],
  text: string,
): Promise<{ outcome: RetryAnswer; group?: string }> {
  const address = known(schemas, text);
  if (address === undefined) return { outcome: "not_found" };
  const { group, id } = address;
  const outcome = await transact(pool, async (tx): Promise<RetryAnswer> => {
    const letter = await lockLetter(tx, address);
    if (letter === undefined) return "not_found";
    if (letter.key === null) return "is_command";
    if (letter.status === "waiting") return "is_waiting";
    tx.write(
      {
        name: `${group}_bus_retry_now`,
        text: `update ${group}.dead_letters
               set status = 'retrying', attempts = 0, next_try_at = clock_timestamp() where id = $1`,
      },
      [id],
    );
    return "retrying";
  });
  return { outcome, group };
}

/** Answers with the group that it belonged to. */
export async function discardLetter(
  pool: Pool,
  schemas: readonly string[],
  text: string,
): Promise<string | undefined> {
  const address = known(schemas, text);
  if (address === undefined) return undefined;
  const { group, id } = address;
  return transact(pool, async (tx) => {
    const letter = await lockLetter(tx, address);
    if (letter === undefined) return undefined;
    const { settle, proceed } = groupStatements(group);
    tx.write(settle, [[id]]);
    tx.write(proceed, [[letter.key]]);
    return group;
  });
}

/** The group's cursors come first: without them nobody changes its dead letters. */
async function lockLetter(
  tx: Transaction,
  { group, id }: Address,
): Promise<{ status: DeadLetter["status"]; key: string | null } | undefined> {
  const cursors: Statement = {
    name: `${group}_bus_lock_group`,
    text: `select from ${group}.cursors order by topic, partition for update`,
  };
  const letter: Statement = {
    name: `${group}_bus_letter`,
    text: `select status, key from ${group}.dead_letters where id = $1`,
  };
  await tx.read(cursors);
  const [found] = await tx.read<{ status: DeadLetter["status"]; key: string | null }>(letter, [id]);
  return found;
}

function known(schemas: readonly string[], text: string): Address | undefined {
  const address = parseAddress(text);
  return address !== undefined && schemas.includes(address.group) ? address : undefined;
}

function parseAddress(text: string): Address | undefined {
  const match = /^([a-z_]+):(\d{1,15})$/.exec(text);
  return match === null ? undefined : { group: match[1]!, id: Number(match[2]) };
}
