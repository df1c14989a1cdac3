/**
 * Moving in, the part about images: each record of the catalog becomes an import of what lies in its store.
 *
 * The one idea: the store is asked, not the record: a version comes with what its manifest there says, and with the marks that only the record has.
 */
import { stat } from "node:fs/promises";
import { HTTPException } from "hono/http-exception";
import { findImage, findImageById, markVersion } from "../../db/images.ts";
import { architectureOf, imageName, latest, normalise } from "../../domain/catalog/rules.ts";
import { NewImport } from "../../domain/catalog/archives.ts";
import type { ImageVersion } from "../../domain/catalog/schema.ts";
import { FaultError, unwrap } from "../../domain/errors.ts";
import type { DevopsDatabase } from "../../domain/moving/devops.ts";
import type { Moved } from "../../domain/moving/report.ts";
import type { Asked } from "../../control/start.ts";
import { storeIn } from "../catalog/connection.ts";
import { settled } from "../operations/settled.ts";
import { wordIn } from "../operations/wire.ts";
import type { Hub } from "../ports.ts";

type Manifest = DevopsDatabase["catalog_manifests"][number];
interface How {
  readonly asked: Asked;
  readonly dryRun: boolean;
  readonly signal: AbortSignal;
  /** Throws when its caller may not wait on. */
  readonly check: () => Promise<void>;
}

export async function moveImages(hub: Hub, manifests: readonly Manifest[], how: How): Promise<Moved[]> {
  const told: Moved[] = [];
  for (const manifest of manifests) {
    const name = `${manifest.catalog_id}/${manifest.version || latest}/${manifest.architecture}`;
    const item = await moveImage(hub, manifest, how).catch((error: unknown): Pick<Moved, "what" | "note"> => {
      if (error instanceof FaultError || error instanceof HTTPException) return { what: "todo", note: error.message };
      throw error;
    });
    told.push({ kind: "image", name, ...item });
  }
  return told;
}

async function moveImage(hub: Hub, manifest: Manifest, { asked, dryRun, signal, check }: How): Promise<Pick<Moved, "what" | "note">> {
  const architecture = architectureOf(manifest.architecture);
  if (!architecture) return { what: "todo", note: `its architecture "${manifest.architecture.slice(0, 40)}" is neither arm64 nor x86_64` };
  const key = { catalogId: normalise(manifest.catalog_id), version: normalise(manifest.version || latest), architecture };
  const there = await findImage(hub.db, asked.actor.project, key);
  if (there.ok) return { what: "kept", note: await marked(hub, there.value, manifest, { asked, dryRun }) };
  const { type, meta } = manifest.provider ?? { type: "", meta: {} };
  const named = type === "" ? null : storeIn([["provider", type], ...Object.entries(meta)].map((pair) => pair.join("=")).join(";"));
  if (!named) return { what: "todo", note: "its record does not tell where it lies: add the store, and import it from there" };
  if (!(await isHere(named.location)))
    return { what: "todo", note: `it lies in ${named.location}, which this computer does not have: mount it there, or add it as a store` };
  if (dryRun) return { what: "added", note: `imported from ${named.location}` };
  const store = unwrap(await hub.stores.add({ ...named, readOnly: "where refused" }, asked.actor));
  const wanted = NewImport.parse({ ...key, storeId: store.id, onFault: "fail" });
  const begun = unwrap(await hub.operations.import(wanted, asked));
  const done = await settled(hub, begun.id, signal, check);
  if (done.state !== "done") return { what: "todo", note: done.fault?.message ?? `its import (${done.id}) is ${done.state}` };
  const image = unwrap(await findImageById(hub.db, wordIn(done.result, "imageVersionId") ?? ""));
  const marks = await marked(hub, image, manifest, { asked, dryRun });
  return { what: "added", note: [`imported from the store ${store.name}`, ...(marks === "" ? [] : [marks])].join("; ") };
}

/** A folder is one of that service's computer: none is made here that only looks like it. */
const isHere = async (location: string): Promise<boolean> =>
  !location.startsWith("folder:") || (await stat(location.slice("folder:".length)).catch(() => null))?.isDirectory() === true;

/** Taints and revocations are kept in that service's records only. */
async function marked(
  hub: Hub,
  image: ImageVersion,
  manifest: Manifest,
  { asked, dryRun }: Pick<How, "asked" | "dryRun">,
): Promise<string> {
  const wanted = [
    ...(manifest.tainted && !image.taintedAt ? (["taint"] as const) : []),
    ...(manifest.revoked && !image.revokedAt ? (["revoke"] as const) : []),
  ];
  if (!dryRun) for (const mark of wanted) unwrap(await markVersion(hub.db, image.id, mark, asked.actor.username));
  return wanted.length === 0
    ? ""
    : `${imageName(image)} is ${wanted.map((mark) => (mark === "taint" ? "tainted" : "revoked")).join(" and ")} as it was`;
}
