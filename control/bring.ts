/**
 * What callers ask of catalogs behind catalog managers: a machine of an image that lies there.
 *
 * The one idea: the image becomes a version of ours under a name that says where it came from, with one claim that only its manager's users are given for
 * the way; so it is nobody's by accident, and the second machine of it finds it here.
 */
import { imageSubject } from "../db/holds.ts";
import { findDefaultStore, findStore } from "../db/stores.ts";
import type { ToldArchive } from "../domain/catalog/archives.ts";
import type { CatalogManager } from "../domain/catalog/managers.ts";
import { imageName, type ImageKey } from "../domain/catalog/rules.ts";
import { unwrap, type Result } from "../domain/errors.ts";
import type { NewMachine } from "../domain/machines/schema.ts";
import type { Operation } from "../domain/operations/schema.ts";
import type { ImportInput } from "../workflows/catalog/import.ts";
import type { Own } from "./catalog.ts";
import { holderOf, startOperation, type Asked, type Control, type Draft } from "./start.ts";

/** An image behind a manager, as it is to be kept here. */
export interface Brought {
  readonly manager: Pick<CatalogManager, "id" | "name">;
  readonly key: ImageKey;
  readonly archive: ToldArchive;
  /** Null: another hub makes the archive, at this path of its API; it is copied into the default store. */
  readonly from: { readonly storeId: string } | { readonly remotePath: string };
  readonly machine: NewMachine;
}

/** `asked.actor` holds the claim of what is brought. */
export async function requestBring(control: Control, wanted: Brought, asked: Asked): Promise<Result<Operation>> {
  return startOperation(control, asked, async (tx): Promise<Draft> => {
    const { manager, key, archive, from, machine } = wanted;
    const copies = "remotePath" in from;
    const store = unwrap(copies ? await findDefaultStore(tx) : await findStore(tx, from.storeId));
    const name = imageName(key);
    const workflowInput: Own<ImportInput> = { hostId: null, through: { copies } };
    const asImport = { ...key, storeId: store.id, targetId: store.id, archive, replace: true, convert: null, onFault: machine.onFault };
    return {
      verb: "import",
      subject: name,
      workflowSubject: name,
      workflowType: "import",
      workflowInput: { ...workflowInput },
      image: name,
      onFault: machine.onFault,
      input: {
        ...asImport,
        holder: holderOf(asked.actor),
        managerId: manager.id,
        remotePath: copies ? from.remotePath : "",
        machine,
      },
      // Several machines of it may come at once: the archive gets its key in one step, and the record is written under the catalog id's lock.
      holds: [{ ...imageSubject(asked.actor.project, name), mode: "shared" }],
    };
  });
}
