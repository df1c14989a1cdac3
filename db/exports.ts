/**
 * Archives of image versions that were written for the Parallels DevOps service.
 *
 * The one idea: an archive is worth something for as long as its version has the content that it was written from; the digest tells.
 */
import { and, desc, eq, sql } from "drizzle-orm";
import type { Database } from "./connect.ts";
import { imageExports as exports } from "./schema.ts";

export interface ExportRow {
  readonly imageVersionId: string;
  readonly storeId: string;
  readonly packKey: string;
  readonly packBytes: number;
  readonly md5: string;
  /** Of the content that it was written from. */
  readonly digest: string;
}

/** Written over by the next one of the same place. */
export async function keepExport(tx: Database, row: ExportRow): Promise<void> {
  const set = { ...row, createdAt: sql`now()` };
  await tx
    .insert(exports)
    .values(row)
    .onConflictDoUpdate({ target: [exports.storeId, exports.packKey], set });
}

/** The newest of this very content. */
export async function findExport(db: Database, { id, digest }: { id: string; digest: string }): Promise<ExportRow | null> {
  const own = and(eq(exports.imageVersionId, id), eq(exports.digest, digest));
  const [row] = await db.select().from(exports).where(own).orderBy(desc(exports.createdAt)).limit(1);
  return row ?? null;
}
