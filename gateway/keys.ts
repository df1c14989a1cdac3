/**
 * The keys that a host may name, and what each stands for.
 *
 * The one idea: a key is matched whole against four forms; whatever else it is (`../`, another prefix, `store.json`) is no key at all.
 */
import { archiveKey } from "../domain/catalog/archive-keys.ts";

export type ObjectName =
  | { readonly kind: "pack"; readonly sha256: string }
  | { readonly kind: "tree"; readonly digest: string }
  | { readonly kind: "locations"; readonly digest: string; readonly generation: number }
  /** Of another service: `key` is its own, and only an operation that is about it may read it. */
  | { readonly kind: "archive"; readonly key: string };

const pack = /^\.drover\/v1\/packs\/([0-9a-f]{2})\/([0-9a-f]{64})$/;
const tree = /^\.drover\/v1\/trees\/([0-9a-f]{64})$/;
const locations = /^\.drover\/v1\/locations\/([0-9a-f]{64})\/([1-9][0-9]{0,8})$/;

export function readKey(key: string): ObjectName | null {
  const [, folder, sha256] = pack.exec(key) ?? [];
  if (folder !== undefined && sha256 !== undefined) return sha256.startsWith(folder) ? { kind: "pack", sha256 } : null;
  const [, treeDigest] = tree.exec(key) ?? [];
  if (treeDigest !== undefined) return { kind: "tree", digest: treeDigest };
  const [, digest, generation] = locations.exec(key) ?? [];
  if (digest !== undefined) return { kind: "locations", digest, generation: Number(generation) };
  const archive = archiveKey(key);
  return archive === null ? null : { kind: "archive", key: archive };
}

/** What the object is called in its store. */
export function storedKey(key: string): string {
  const name = readKey(key);
  return name?.kind === "archive" ? name.key : key;
}

/** A pack has 64 MiB at most; a tree and its locations are lists of any image's chunks (1 GiB and 512 MiB stand for 6 TB of disk). An archive is never written. */
const limits = { pack: 64 * 1024 ** 2, tree: 1024 ** 3, locations: 512 * 1024 ** 2, archive: 0 } as const;
export const limitOf = ({ kind }: ObjectName): number => limits[kind];
