/** What a host has in its cache as far as the hub knows before the host itself reports it. */
import { eq } from "drizzle-orm";
import { CachedImage } from "../domain/hosts/schema.ts";
import type { Database } from "./connect.ts";
import { hosts } from "./schema.ts";

/** Remembers that the host has an image; its next inventory says what is true. */
export async function noteCached(tx: Database, hostId: string, { digest, bytes }: { digest: string; bytes: number }): Promise<void> {
  const [row] = await tx.select({ cached: hosts.cached }).from(hosts).where(eq(hosts.id, hostId)).for("no key update");
  const cached = CachedImage.array().parse(row?.cached ?? []);
  if (!row || cached.some((image) => image.digest === digest)) return;
  await tx
    .update(hosts)
    .set({ cached: [...cached, { digest, bytes, lastUsedAt: new Date().toISOString() }] })
    .where(eq(hosts.id, hostId));
}
