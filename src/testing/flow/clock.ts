import type { Pool } from "../../platform/postgres/pool.ts";

/**
 * Puts a clock in front of PostgreSQL's own, for every session that begins from now on. Each look at it takes a
 * millisecond and otherwise time stands still, so that what is due when depends on the test alone.
 */
export async function installClock(pool: Pool): Promise<void> {
  await pool.query(`
    create schema clock;
    create sequence clock.ticks;
    create function clock.clock_timestamp() returns timestamptz language sql volatile as
      $$ select timestamptz '2030-01-01 00:00:00Z' + nextval('clock.ticks') * interval '1 millisecond' $$;
    create function clock.now() returns timestamptz language sql stable as
      $$ select timestamptz '2030-01-01 00:00:00Z' + last_value * interval '1 millisecond' from clock.ticks $$;
    do $$
    begin
      execute format('alter database %I set search_path = clock, pg_catalog, public', current_database());
    end
    $$`);
}

/** Every run begins at the same moment. */
export async function resetClock(pool: Pool): Promise<void> {
  await pool.query("select setval('clock.ticks', 1, false)");
}

export async function pass(pool: Pool, seconds: number): Promise<void> {
  await pool.query("select setval('clock.ticks', last_value + $1) from clock.ticks", [seconds * 1_000]);
}
