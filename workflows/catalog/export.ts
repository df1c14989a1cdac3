/**
 * Writes an image as the Parallels DevOps service keeps it, so that this service pulls it.
 *
 * The one idea: the archive goes first and its manifest last, as that service itself does: a manifest that is there names an archive that is whole.
 */
import type { Fault } from "../../domain/errors.ts";
import { refusal } from "../faults.ts";
import { runOperation } from "../operation.ts";
import type { OperationInput } from "../records.ts";
import { external, quick, storeWork } from "../proxies.ts";

export interface ExportInput extends OperationInput {
  /** For a push through a catalog manager: the bundle is pushed here first, and the other catalog is told of it at the end. */
  readonly through?: boolean;
}

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

/** What a push through a catalog manager asks of the hub besides. Implemented in `activities/hub/send.ts`. */
export interface SendActivities {
  /** Pushes the bundle by an operation of its own, once however often it is asked, and waits for that to end. */
  pushBundle(input: { operationId: string }): Promise<{ pushedBy: string; fault: Fault | null }>;
  /** The other catalog has a record of what was written. */
  registerThere(input: { operationId: string; image: string }): Promise<void>;
}

const hub = quick<ExportActivities>();
const look = external<ExportActivities>();
const store = storeWork<ExportActivities>();
const far = storeWork<SendActivities>();
const there = external<SendActivities>();

/** `export` is a word of the language. */
export async function exportImage(input: ExportInput): Promise<Record<string, unknown>> {
  const { operationId, through = false } = input;
  return runOperation(input, async ({ must, conclude }) => {
    if (through) {
      await must("push bundle", async () => {
        const pushed = await far.pushBundle({ operationId });
        if (pushed.fault) throw refusal(pushed.fault.code, pushed.fault.message);
        return pushed;
      });
    }
    const plan = await must("authorise", () => look.authoriseExport({ operationId }));
    const exported = await must("write archive", () => store.writeArchive({ operationId, step: "write archive", plan }));
    if (through) {
      const { image } = plan;
      await must("register", async () => ({ registered: await there.registerThere({ operationId, image }) }));
    }
    await conclude("record", async () => ({ recorded: await hub.recordExported({ operationId, plan, exported }) }));
    return { image: plan.image, ...(through ? { imageVersionId: plan.imageVersionId } : {}), ...exported };
  });
}
