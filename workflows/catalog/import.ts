/**
 * Brings an image of the Parallels DevOps service into the catalog; on request, its bytes into Drover's own format.
 *
 * The one idea: importing reads a manifest and writes a row, so a whole catalog is there in minutes. Converting is what a pull and a push do, one after the other, on
 * one host: the archive is unpacked into its cache, and what lies there is pushed.
 */
import type { Fault } from "../../domain/errors.ts";
import { refusal } from "../faults.ts";
import { lossOf } from "../host-loss.ts";
import { runOperation, type OperationFrame } from "../operation.ts";
import type { OperationInput } from "../records.ts";
import { external, onHost, quick, storeWork, undoOnHost } from "../proxies.ts";
import { markImage } from "../search.ts";
import { fetchTo, type Wanted } from "./fetch.ts";
import type { BundleActivities, PushPlan, Upload } from "./push.ts";

export interface ImportInput extends OperationInput {
  /** The host that converts; null: it stays an archive. */
  readonly hostId: string | null;
  /** For a machine of an image that lies behind a catalog manager. `copies`: another hub makes its archive on the way, so it is kept in a store first. */
  readonly through?: { readonly copies: boolean };
}

/** What was found in the store, and is to be a version. Times as text. */
export interface FoundArchive {
  readonly packKey: string;
  readonly packBytes: number;
  readonly md5: string | null;
  readonly logicalBytes: number;
  readonly exact: boolean;
  readonly kind: "pvm" | "macvm";
  readonly description: string;
  readonly tags: readonly string[];
  readonly requiredRoles: readonly string[];
  readonly requiredClaims: readonly string[];
  readonly minimum: { readonly vcpus: number; readonly memoryBytes: number; readonly diskBytes: number } | null;
  readonly tainted: { readonly by: string | null; readonly at: string } | null;
  readonly untaintedBy: string | null;
  readonly revoked: { readonly by: string | null; readonly at: string } | null;
}
export interface Imported {
  readonly imageVersionId: string;
  readonly image: string;
  readonly wanted: Wanted;
}

/** What an import asks of the hub. Implemented in `activities/hub/import.ts`. */
export interface ImportActivities {
  /** Reads the manifest and asks the store for the archive: both are there, and the manifest makes sense. */
  findArchive(input: { operationId: string }): Promise<FoundArchive>;
  /** One transaction: the version is in the catalog. */
  recordArchive(input: { operationId: string; found: FoundArchive }): Promise<Imported>;
  /** From here on the operation may write to the target store, and reads the archive no more. */
  planConversion(input: { operationId: string }): Promise<PushPlan>;
  /** Compares the upload with what was unpacked, and its locations with the store's own listing. */
  checkConverted(input: { operationId: string; digest: string; upload: Upload }): Promise<void>;
  /** One transaction: the version points to the tree in the target store, and is no archive any more. */
  publishConverted(input: { operationId: string; imported: Imported; upload: Upload }): Promise<{ digest: string }>;
}

/** What an import through a catalog manager asks of the hub besides. Implemented in `activities/hub/bring.ts`. */
export interface BringActivities {
  /** The archive of the other hub lies in the store, under the key that the operation names. */
  copyArchive(input: { operationId: string; step: string }): Promise<{ copied: boolean }>;
  /** Makes a machine of what was imported by an operation of its own, once however often it is asked, and waits for that to end. */
  makeMachine(input: { operationId: string }): Promise<Made>;
}
export interface Made {
  readonly machineId: string;
  readonly madeBy: string;
  readonly fault: Fault | null;
}

/** What a conversion asks of its host. Implemented in `activities/host/convert.ts`. */
export interface ConvertActivities extends Pick<BundleActivities, "discardUpload"> {
  uploadCached(input: { operationId: string; step: string; digest: string; plan: PushPlan }): Promise<Upload>;
}

const hub = quick<ImportActivities>();
const store = external<ImportActivities>();
const far = storeWork<BringActivities>();

/** `import` is a word of the language. */
export async function importImage(input: ImportInput): Promise<Record<string, unknown>> {
  const { operationId, hostId, through } = input;
  return runOperation(input, async (frame) => {
    if (through?.copies) await frame.must("copy archive", () => far.copyArchive({ operationId, step: "copy archive" }));
    const found = await frame.must("read manifest", () => store.findArchive({ operationId }));
    const record = () => hub.recordArchive({ operationId, found });
    const imported = hostId === null && !through ? await frame.conclude("record", record) : await frame.must("record", record);
    const { imageVersionId, image } = imported;
    markImage(image);
    if (through) return { imageVersionId, image, packBytes: found.packBytes, ...(await machineOf(operationId, frame)) };
    if (hostId === null) return { imageVersionId, image, packBytes: found.packBytes };
    return { imageVersionId, image, packBytes: found.packBytes, ...(await convert(imported, hostId, input, frame)) };
  });
}

/** The other operation's fault is this one's too. */
async function machineOf(operationId: string, frame: OperationFrame) {
  const { machineId, madeBy } = await frame.must("make machine", async () => {
    const made = await far.makeMachine({ operationId });
    if (made.fault) throw refusal(made.fault.code, made.fault.message);
    return made;
  });
  return { machineId, madeBy };
}

async function convert(imported: Imported, hostId: string, { operationId, onFault }: ImportInput, frame: OperationFrame) {
  const on = lossOf(hostId, onFault);
  const { digest } = await fetchTo(on, imported.wanted, operationId, frame);
  const plan = await frame.must("plan conversion", () => hub.planConversion({ operationId }));
  const back = undoOnHost<ConvertActivities>(hostId, imported.image);
  frame.undo("discard upload", () => back.discardUpload({ operationId }), hostId);
  const host = onHost<ConvertActivities>(hostId, imported.image);
  const upload = await frame.must("upload", () => host.uploadCached({ operationId, step: "upload", digest, plan }), { on });
  await frame.must("check store", async () => ({ checked: await store.checkConverted({ operationId, digest, upload }) }));
  await frame.conclude("publish", () => hub.publishConverted({ operationId, imported, upload }));
  const { generation, storedBytes, newBytes, packs } = upload;
  return { digest, generation, storedBytes, newBytes, packs };
}
