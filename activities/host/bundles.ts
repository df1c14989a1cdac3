/**
 * What a push does where the bundle lies: look at it, then send what the store lacks.
 *
 * The one idea: the journal on disk and what the store holds are the truth, so an attempt after a crash goes on where the last one stopped.
 */
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Architecture } from "../../domain/catalog/rules.ts";
import { FaultError, unwrap } from "../../domain/errors.ts";
import { checkBundle } from "../../images/inspect.ts";
import { pushBundle } from "../../images/push.ts";
import { pushRecordPath } from "../../images/push-record.ts";
import type { BundleActivities, PushPlan, Upload } from "../../workflows/catalog/push.ts";
import type { Attempt } from "./attempt.ts";
import { insideRoots, type TransferContext } from "./context.ts";
import { grantedStore } from "./granted-store.ts";
import { markName } from "./mark.ts";
import { openReporter } from "./reporter.ts";

export function bundleActivities(context: TransferContext): BundleActivities {
  const { attempts, roots, journalFolder, recordFolder } = context;
  return {
    inspectBundle: ({ operationId, path }) =>
      attempts.run(operationId, "inspect", async ({ signal }) => {
        const real = await insideRoots(path, roots);
        const { kind, name, guestOs, vcpus, memoryBytes, logicalBytes, allocatedBytes, uuid, ...found } = unwrap(await checkBundle(real));
        await refuseRunning(context, real, uuid, signal);
        const architecture = found.architecture ?? ownArchitecture;
        return { path: real, kind, name, guestOs, architecture, vcpus, memoryBytes, logicalBytes, allocatedBytes, machineId: uuid };
      }),

    uploadBundle: ({ operationId, step, path, plan, verify = false }) =>
      attempts.run(operationId, "upload", async (attempt) => {
        const real = await insideRoots(path, roots);
        const recordPath = pushRecordPath(recordFolder, real);
        return upload(context, { operationId, step, plan, path: real, verify, recordPath }, attempt);
      }),

    discardUpload: ({ operationId }) =>
      attempts.run(operationId, "discard upload", () => rm(journalOf(journalFolder, operationId), { force: true })),
  };
}

export interface UploadAsk {
  readonly operationId: string;
  readonly step: string;
  readonly plan: PushPlan;
  /** The real path of the bundle. */
  readonly path: string;
  readonly verify: boolean;
  /** What the last push of this bundle found; absent for one that is pushed once. */
  readonly recordPath?: string;
}

/** Sends what the store lacks of a bundle, once a transfer slot is free. */
export async function upload(context: TransferContext, ask: UploadAsk, { signal, note }: Attempt): Promise<Upload> {
  const { link, transfers, journalFolder, moving } = context;
  const { operationId, step, plan, path: bundlePath, ...how } = ask;
  const store = grantedStore(link, operationId, signal);
  const fence = await store.begin();
  const reporter = openReporter(link, operationId, fence);
  const wait = () => {
    note({ waitsFor: "a transfer slot" });
    reporter.waits(step, "a transfer slot");
  };
  const send = async () => {
    await mkdir(journalFolder, { recursive: true });
    const journalPath = journalOf(journalFolder, operationId);
    const onProgress = ({ doneBytes, totalBytes, newBytes }: { doneBytes: number; totalBytes: number; newBytes: number }) =>
      reporter.progress(step, { doneBytes, totalBytes, newBytes });
    const where = { bundlePath, leftOut: [markName], store, bases: plan.bases, journalPath, generation: 1 };
    // The journal stays until the operation has ended: should the answer of this attempt be lost, the next one sends nothing again.
    const pushed = await pushBundle({ ...where, ...how, ...moving, signal, onProgress });
    const { digest, generation, files, logicalBytes, allocatedBytes, storedBytes, newBytes, packs } = pushed;
    return { digest, generation, fence, files, logicalBytes, allocatedBytes, storedBytes, newBytes, packs };
  };
  return transfers.run(signal, send, wait);
}

/** How far an upload has come lies here until its operation ends. */
export const journalOf = (folder: string, operationId: string): string => join(folder, `push-${operationId}`);

/** A bundle that does not tell runs on the kind of computer that has it. */
const ownArchitecture: Architecture = process.arch === "arm64" ? "arm64" : "x86_64";

/** A bundle that Parallels Desktop is writing to has no content to speak of. */
async function refuseRunning({ prlctl }: TransferContext, path: string, machineId: string | null, signal: AbortSignal): Promise<void> {
  if (!prlctl || machineId === null) return;
  const registered = await prlctl.find(machineId, { signal });
  if (!registered || registered.state === "stopped" || !samePlace(registered.bundlePath, path)) return;
  const message = `The machine of ${path} is ${registered.state}: stop it before its bundle is pushed.`;
  throw new FaultError({ code: "bundle_refused", message, subject: path, details: { state: registered.state } });
}

const samePlace = (bundlePath: string | null, path: string): boolean => bundlePath === null || bundlePath.replace(/\/$/, "") === path;
