/**
 * Wrong passwords, counted for whom they were tried and where they came from, in rows that all API processes share.
 *
 * The one idea: a try is judged and counted under its row's lock before anybody looks at the password, so a burst over any number of processes gets no more
 * tries than one after the other would.
 */
import { createHash } from "node:crypto";
import { eq, sql } from "drizzle-orm";
import { forgetGuessesMs, judgeTry, type Guard, type Judged } from "../domain/access/guessing.ts";
import type { Database } from "./connect.ts";
import { loginGuesses as guesses } from "./schema.ts";

/**
 * More pairs than guess at one hub within an hour; bounds the table. Each row costs a guesser the time of a hash: pushing an older row out by ten
 * thousand newer ones takes longer than waiting.
 */
export const mostGuesses = 10_000;

/** What a guesser guesses at and from where, as the key of a row: a hash, because somebody may have typed a password in the wrong place. */
export const guessKey = (account: string, source: string): string =>
  createHash("sha256")
    .update(JSON.stringify([account, source]))
    .digest("base64url");

const sinceMs = (column: typeof guesses.failedAt | typeof guesses.triedAt) =>
  sql<number>`extract(epoch from clock_timestamp() - ${column})::float8 * 1000`;

/** Counts one more try, as if it were wrong; `forgetGuesses` takes it back. One that is refused is not counted. */
export async function countTry(db: Database, key: string, guard: Guard): Promise<Judged> {
  return db.transaction(async (tx) => {
    const made = await tx.insert(guesses).values({ key }).onConflictDoNothing().returning({ key: guesses.key });
    if (made.length === 1) await trim(tx);
    const { count, tries, failedAt, triedAt } = guesses;
    const [row] = await tx
      .select({ count, tries, sinceLastMs: sinceMs(failedAt), sinceTryMs: sinceMs(triedAt) })
      .from(guesses)
      .where(eq(guesses.key, key))
      .for("update");
    // Whoever was right at this moment removed it.
    const judged = judgeTry(guard, row ?? { count: 0, tries: 0, sinceLastMs: 0, sinceTryMs: forgetGuessesMs });
    const now = sql`clock_timestamp()`;
    await tx
      .update(guesses)
      .set({ count: judged.count, tries: judged.tries, triedAt: now, ...(judged.allowed ? { failedAt: now } : {}) })
      .where(eq(guesses.key, key));
    return judged;
  });
}

export async function forgetGuesses(db: Database, key: string): Promise<void> {
  await db.delete(guesses).where(eq(guesses.key, key));
}

export async function dropOldGuesses(db: Database): Promise<void> {
  await db.delete(guesses).where(sql`${guesses.failedAt} < now() - ${forgetGuessesMs} * interval '1 millisecond'`);
}

/** One at a time: two that remove the same rows would wait for each other. */
async function trim(tx: Database): Promise<void> {
  const [turn] = await tx.execute<{ mine: boolean }>(sql`select pg_try_advisory_xact_lock(hashtext('login_guesses')) as mine`);
  if (!turn?.mine) return;
  const oldest = sql`(select ${guesses.failedAt} from ${guesses} order by ${guesses.failedAt} desc offset ${mostGuesses - 1} limit 1)`;
  await tx.delete(guesses).where(sql`${guesses.failedAt} < ${oldest}`);
}
