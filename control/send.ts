/**
 * What callers ask of catalogs behind catalog managers: to have a bundle there.
 *
 * The one idea: the bundle becomes a version of ours first, under a name of its manager, so the next push of it sends what changed; what the other catalog
 * gets is the archive that any service of its kind reads.
 */
import { imageSubject } from "../db/holds.ts";
import { findStore } from "../db/stores.ts";
import type { CatalogManager } from "../domain/catalog/managers.ts";
import type { NewImageVersion } from "../domain/catalog/schema.ts";
import { unwrap, type Result } from "../domain/errors.ts";
import type { Operation } from "../domain/operations/schema.ts";
import type { ExportInput } from "../workflows/catalog/export.ts";
import { workingHost, type Own } from "./catalog.ts";
import { holderOf, startOperation, type Asked, type Control, type Draft } from "./start.ts";

export interface Sent {
  readonly manager: Pick<CatalogManager, "id" | "name">;
  /** As it is pushed here. */
  readonly push: NewImageVersion;
  /** What the other catalog knows it by. */
  readonly as: { readonly catalogId: string; readonly requiredRoles: readonly string[]; readonly requiredClaims: readonly string[] };
  /** The store that both sides reach, and how the other side reaches it; sealed. */
  readonly storeId: string;
  readonly place: { readonly type: string; readonly meta: Readonly<Record<string, string>> };
}

/** `asked.actor` holds the claim of what is pushed. */
export async function requestSend(control: Control, wanted: Sent, asked: Asked): Promise<Result<Operation>> {
  const { manager, push, as, storeId, place } = wanted;
  const prepare = async (tx: Parameters<typeof findStore>[0]): Promise<Draft> => {
    if (push.hostId !== null) await workingHost(tx, push.hostId);
    const store = unwrap(await findStore(tx, storeId));
    const subject = `${as.catalogId}/${push.version} to ${manager.name}`;
    const workflowInput: Own<ExportInput> = { through: true };
    const written = { storeId: store.id, compress: true, replace: true, onFault: push.onFault };
    return {
      verb: "export",
      subject,
      workflowSubject: `${push.catalogId}/${push.version}`,
      workflowType: "export",
      workflowInput: { ...workflowInput },
      hostId: push.hostId,
      onFault: push.onFault,
      input: { ...written, holder: holderOf(asked.actor), managerId: manager.id, push, as },
      // One after the other: two pushes of one version would write the same archive.
      holds: [{ ...imageSubject(asked.actor.project, subject), mode: "exclusive" }],
    };
  };
  return startOperation(control, asked, prepare, place);
}
