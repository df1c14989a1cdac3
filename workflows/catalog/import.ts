/**
 * Brings an image of the Parallels DevOps service into the catalog; on request, its bytes into Drover's own format.
 *
 * The one idea: importing reads a manifest and writes a row, so a whole catalog is there in minutes. Converting is what a pull and a push do, one after the other, on
 * one host: the archive is unpacked into its cache, and what lies there is pushed.
 */
import { lossOf } from "../host-loss.ts";
import { runOperation, type OperationFrame } from "../operation.ts";
import type { OperationInput } from "../records.ts";
import { external, onHost, quick, undoOnHost } from "../proxies.ts";
import { markImage } from "../search.ts";
import { fetchTo, type Wanted } from "./fetch.ts";
import type { BundleActivities, PushPlan, Upload } from "./push.ts";

export interface ImportInput extends OperationInput {
  /** The host that converts; null: it stays an archive. */
  readonly hostId: string | null;
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

/** What a conversion asks of its host. Implemented in `activities/host/convert.ts`. */
export interface ConvertActivities extends Pick<BundleActivities, "discardUpload"> {
  uploadCached(input: { operationId: string; step: string; digest: string; plan: PushPlan }): Promise<Upload>;
}

const hub = quick<ImportActivities>();
const store = external<ImportActivities>();

/** `import` is a word of the language. */
export async function importImage(input: ImportInput): Promise<Record<string, unknown>> {
  const { operationId, hostId } = input;
  return runOperation(input, async (frame) => {
    const found = await frame.must("read manifest", () => store.findArchive({ operationId }));
    const record = () => hub.recordArchive({ operationId, found });
    const imported = hostId === null ? await frame.conclude("record", record) : await frame.must("record", record);
    const { imageVersionId, image } = imported;
    markImage(image);
    if (hostId === null) return { imageVersionId, image, packBytes: found.packBytes };
    return { imageVersionId, image, packBytes: found.packBytes, ...(await convert(imported, hostId, input, frame)) };
  });
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
