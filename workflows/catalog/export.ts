/**
 * Writes an image as the Parallels DevOps service keeps it, so that this service pulls it.
 *
 * The one idea: the archive goes first and its manifest last, as that service itself does: a manifest that is there names an archive that is whole.
 */
import { runOperation } from "../operation.ts";
import type { OperationInput } from "../records.ts";
import { quick, storeWork } from "../proxies.ts";

export type ExportInput = OperationInput;

/** The image as it is when the export begins. */
export interface ExportPlan {
  readonly imageVersionId: string;
  readonly image: string;
  readonly digest: string;
  readonly generation: number;
  readonly storeId: string;
}
export interface Exported {
  readonly packKey: string;
  readonly packBytes: number;
  readonly md5: string;
  readonly logicalBytes: number;
}

/** What an export asks of the hub. Implemented in `activities/hub/export.ts`. */
export interface ExportActivities {
  /** The version, if the one who asked may have it and its bytes are ours to read. */
  authoriseExport(input: { operationId: string }): Promise<ExportPlan>;
  /** Reads the image from its store and writes the archive and its manifest to the other; tells how far it is. */
  writeArchive(input: { operationId: string; step: string; plan: ExportPlan }): Promise<Exported>;
  recordExported(input: { operationId: string; plan: ExportPlan; exported: Exported }): Promise<void>;
}

const hub = quick<ExportActivities>();
const store = storeWork<ExportActivities>();

/** `export` is a word of the language. */
export async function exportImage(input: ExportInput): Promise<Record<string, unknown>> {
  const { operationId } = input;
  return runOperation(input, async ({ must, conclude }) => {
    const plan = await must("authorise", () => hub.authoriseExport({ operationId }));
    const exported = await must("write archive", () => store.writeArchive({ operationId, step: "write archive", plan }));
    await conclude("record", async () => ({ recorded: await hub.recordExported({ operationId, plan, exported }) }));
    return { image: plan.image, ...exported };
  });
}
