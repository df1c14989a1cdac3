/**
 * Publishes a bundle as a version of an image.
 *
 * The one idea: bytes travel first and are checked against what the store itself says; only then one transaction makes the version visible.
 */
import { callerQueue } from "../../domain/operations/rules.ts";
import type { BundleFacts } from "../../domain/catalog/schema.ts";
import { lossOf } from "../host-loss.ts";
import { runOperation } from "../operation.ts";
import type { OperationInput } from "../records.ts";
import { external, onCaller, onHost, quick, undoOnHost } from "../proxies.ts";
import { markImage } from "../search.ts";

export interface PushInput extends OperationInput {
  /** The host that has the bundle; null when it lies on the caller's own computer. */
  readonly hostId: string | null;
  readonly path: string;
  /** Read every file, also those that nothing touched since the last push. */
  readonly verify?: boolean;
}

/** What a push may start from: trees in the same store that share chunks with it. */
export interface PushPlan {
  readonly storeId: string;
  readonly bases: readonly { digest: string; generation: number }[];
}
export interface Upload {
  readonly digest: string;
  readonly generation: number;
  readonly fence: number;
  readonly files: number;
  readonly logicalBytes: number;
  readonly allocatedBytes: number;
  readonly storedBytes: number;
  readonly newBytes: number;
  readonly packs: number;
}

/** What a push asks of the hub. Implemented in `activities/hub/catalog.ts`. */
export interface PushActivities {
  /** Checks names, claims and that the version is free; answers what to start from. */
  planPush(input: { operationId: string; facts: BundleFacts | null }): Promise<PushPlan>;
  /** Compares the upload's locations with the store's own listing: every pack is there and has its size. */
  checkUpload(input: { operationId: string; upload: Upload }): Promise<void>;
  /** One transaction: the version points to the tree, if the fence is still ours. */
  publishVersion(input: {
    operationId: string;
    facts: BundleFacts;
    upload: Upload;
  }): Promise<{ imageVersionId: string; image: string; replaced: boolean }>;
}

/** What a push asks of whoever has the bundle. Implemented in `activities/host/bundles.ts`. */
export interface BundleActivities {
  /** It is a bundle, its machine is stopped, nothing in it is refused. */
  inspectBundle(input: { operationId: string; path: string }): Promise<BundleFacts>;
  uploadBundle(input: { operationId: string; step: string; path: string; plan: PushPlan; verify?: boolean }): Promise<Upload>;
  /** Forgets how far an upload that will not go on had come. What it brought to the store stays until the store is collected. */
  discardUpload(input: { operationId: string }): Promise<void>;
}

const hub = quick<PushActivities>();
const store = external<PushActivities>();

export async function push(input: PushInput): Promise<Record<string, unknown>> {
  const { operationId, path, verify = false } = input;
  const bundle =
    input.hostId === null ? onCaller<BundleActivities>(callerQueue(operationId), path) : onHost<BundleActivities>(input.hostId, path);
  const on = input.hostId === null ? {} : { on: lossOf(input.hostId, input.onFault) };

  return runOperation(input, async ({ must, undo, conclude }) => {
    await must("check request", () => hub.planPush({ operationId, facts: null }));
    const facts = await must("inspect bundle", () => bundle.inspectBundle({ operationId, path }), on);
    const plan = await must("plan transfer", () => hub.planPush({ operationId, facts }));
    // A caller's computer cleans up after itself when its command ends: one that is gone is not waited for.
    if (input.hostId !== null) {
      const back = undoOnHost<BundleActivities>(input.hostId, path);
      undo("discard upload", () => back.discardUpload({ operationId }), input.hostId);
    }
    const upload = await must("upload", () => bundle.uploadBundle({ operationId, step: "upload", path, plan, verify }), on);
    await must("check store", async () => ({ checked: await store.checkUpload({ operationId, upload }) }));
    const published = await conclude("publish", () => hub.publishVersion({ operationId, facts, upload }));
    markImage(published.image);
    return { ...published, ...upload };
  });
}
