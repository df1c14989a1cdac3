/**
 * Versions whose bytes lie in an archive of the Parallels DevOps service.
 *
 * The one idea: such a version has generation 0, since no locations were ever written for it, and until a host has unpacked it a value made of the archive's place
 * stands in for its digest: nobody else's digest, and the same for the same archive.
 */
import { createHash } from "node:crypto";
import { and, eq, sql } from "drizzle-orm";
import type { Unpacked } from "../domain/catalog/archives.ts";
import type { Database } from "./connect.ts";
import { imageArchives as archives, imageVersions as versions, machines } from "./schema.ts";

export interface ArchiveRow {
  readonly imageVersionId: string;
  readonly storeId: string;
  readonly packKey: string;
  readonly packBytes: number;
  readonly md5: string | null;
  readonly logicalBytes: number;
  readonly exact: boolean;
  readonly measured: boolean;
}

/** The generation of a version that is an archive. */
export const archivedGeneration = 0;

export const standInOf = ({ storeId, packKey, packBytes, md5 }: Pick<ArchiveRow, "storeId" | "packKey" | "packBytes" | "md5">): string =>
  createHash("sha256")
    .update(JSON.stringify(["archive", storeId, packKey, packBytes, md5]))
    .digest("hex");

export async function findArchive(db: Database, imageVersionId: string): Promise<ArchiveRow | null> {
  const [row] = await db.select().from(archives).where(eq(archives.imageVersionId, imageVersionId));
  return row ?? null;
}

/** The same archive again changes nothing, so that what is known of it stays known. */
export async function keepArchive(tx: Database, row: Omit<ArchiveRow, "measured">): Promise<void> {
  const known = await findArchive(tx, row.imageVersionId);
  if (known && standInOf(known) === standInOf(row)) return;
  await dropArchive(tx, row.imageVersionId);
  await tx.insert(archives).values(row);
}

/** Writes what the archive turned out to be, with the machine that is being made from it. False when the version points elsewhere by now. */
export async function measureArchive(
  tx: Database,
  { imageVersionId, standIn, machineId }: { imageVersionId: string; standIn: string; machineId: string | null },
  measured: Unpacked,
): Promise<boolean> {
  if (machineId !== null) await tx.update(machines).set({ digest: measured.digest }).where(eq(machines.id, machineId));
  const archive = await findArchive(tx, imageVersionId);
  if (!archive || standInOf(archive) !== standIn) return false;
  await tx.update(archives).set({ measured: true }).where(eq(archives.imageVersionId, imageVersionId));
  const archived = and(eq(versions.id, imageVersionId), eq(versions.generation, archivedGeneration));
  await tx
    .update(versions)
    .set({ ...measured, updatedAt: sql`now()` })
    .where(archived);
  return true;
}

export async function dropArchive(tx: Database, imageVersionId: string): Promise<void> {
  await tx.delete(archives).where(eq(archives.imageVersionId, imageVersionId));
}
