/** Whether a push may write a version, and to which store. Pure: asked before any byte travels, and again when the content's digest is known. */
import { ok, refuse, type Result } from "../errors.ts";
import { imageName, mayPull, maySee, type Holder } from "./rules.ts";

type Existing = Parameters<typeof maySee>[0] & Parameters<typeof mayPull>[0] & { readonly digest: string };

export interface Publication {
  readonly existing: Existing | null;
  readonly holder: Holder;
  /** Null as long as the content is not known: the same content again is no other version. */
  readonly digest: string | null;
  readonly replace: boolean;
}

/** Asked before anything begins that would write to the store, or remove from it. */
export function mayWriteTo<S extends { readonly name: string; readonly readOnly: boolean }>(store: S): Result<S> {
  if (!store.readOnly) return ok(store);
  return refuse({
    code: "store_read_only",
    message: `The store ${store.name} is read-only: nothing is written to it.`,
    subject: store.name,
  });
}

export function mayPublish({ existing, holder, digest, replace }: Publication): Result<void> {
  if (!existing) return ok(undefined);
  const name = imageName(existing);
  // A revoked version does not come back by a push; a tainted one may be replaced by something better.
  if (existing.revokedAt) return mayPull(existing);
  if (!maySee(existing, holder))
    return refuse({ code: "image_exists", message: `The image ${name} exists and is not yours to replace.`, subject: name });
  if (digest === null || replace || digest === existing.digest) return ok(undefined);
  return refuse({ code: "image_exists", message: `The image ${name} exists with other content.`, subject: name });
}
