/**
 * What guest commands wrote, line by line as the host reported it.
 *
 * The one idea: a line is named by operation, fence and number, so one that comes twice is one row; beyond 10 MiB lines are dropped, and the output counts
 * as cut. A script may print what it was given in secret, so lines are sealed.
 */
import { and, asc, eq, gt, sql } from "drizzle-orm";
import { OutputLine } from "../domain/machines/schema.ts";
import type { Database } from "./connect.ts";
import { outputs } from "./schema.ts";

/** Enough for any build log that a person reads; a runaway command cannot fill the database. */
export const outputLimitBytes = 10 * 1024 * 1024;

export interface ReportedOutput {
  readonly operationId: string;
  readonly fence: number;
  readonly line: number;
  readonly stream: "stdout" | "stderr";
  readonly text: string;
}

/** How texts become what is stored, and back: `outputSeal` of `security/`. */
export interface OutputSeal {
  close(place: Omit<ReportedOutput, "stream" | "text">, text: string): Promise<Uint8Array>;
  open(place: Omit<ReportedOutput, "stream" | "text">, sealed: Uint8Array): Promise<string>;
}

/** What a line costs besides its text: a million empty ones are not nothing. */
export const lineBytes = 64;
/** Output in pieces of a pipe's size costs less than this in rows; a host that sends crumbs fills no database either. */
export const storedLimitBytes = outputLimitBytes + 2 * 1024 * 1024;

/** Takes lines of one operation as long as there is room for them. Two reports at once may pass the limit by one report. */
export async function appendOutput(
  db: Database,
  seal: Pick<OutputSeal, "close">,
  operationId: string,
  lines: readonly ReportedOutput[],
): Promise<void> {
  let room = storedLimitBytes - (await stored(db, operationId)).costBytes;
  const taken = lines.filter(({ text }) => {
    if (room <= 0) return false;
    room -= Buffer.byteLength(text) + lineBytes;
    return true;
  });
  const rows = taken.map(async ({ text, ...place }) => ({
    ...place,
    bytes: Buffer.byteLength(text),
    sealed: await seal.close(place, text),
  }));
  if (rows.length > 0)
    await db
      .insert(outputs)
      .values(await Promise.all(rows))
      .onConflictDoNothing();
}

/** Lines after `after` of the newest attempt. `cut` tells that there was more than is kept. */
export async function listOutput(
  db: Database,
  seal: Pick<OutputSeal, "open">,
  { operationId, after, limit }: { operationId: string; after: number; limit: number },
): Promise<{ items: OutputLine[]; cut: boolean }> {
  const newest = sql`(select max(o.fence) from outputs o where o.operation_id = ${operationId})`;
  const wanted = and(eq(outputs.operationId, operationId), sql`${outputs.fence} = ${newest}`, gt(outputs.line, after));
  const rows = await db.select().from(outputs).where(wanted).orderBy(asc(outputs.line)).limit(limit);
  const { textBytes, costBytes } = await stored(db, operationId);
  const items = rows.map(async ({ sealed, ...row }) =>
    OutputLine.parse(sealed === null ? row : { ...row, text: await seal.open(row, sealed) }),
  );
  return { items: await Promise.all(items), cut: textBytes >= outputLimitBytes || costBytes >= storedLimitBytes };
}

async function stored(db: Database, operationId: string): Promise<{ textBytes: number; costBytes: number }> {
  const text = sql<string>`coalesce(sum(${outputs.bytes} + octet_length(${outputs.text})), 0)`;
  const lines = sql<string>`count(*)`;
  const [row] = await db.select({ text, lines }).from(outputs).where(eq(outputs.operationId, operationId));
  const textBytes = Number(row?.text ?? 0);
  return { textBytes, costBytes: textBytes + Number(row?.lines ?? 0) * lineBytes };
}
