/**
 * Brings one image into the caches of many hosts, a few at a time.
 *
 * The one idea: each host's fetch is a pull of its own, with its own operation, progress and parking. So a host that is slow or lost keeps no other waiting,
 * each can be cancelled alone, and cancelling the prefetch cancels them all.
 */
import { CancellationScope, ChildWorkflowFailure, executeChild, isCancellation, uuid4 } from "@temporalio/workflow";
import type { Fault } from "../../domain/errors.ts";
import { faultRecord, workflowId, type StepState } from "../../domain/operations/rules.ts";
import { faultOf, refusal } from "../faults.ts";
import { runOperation } from "../operation.ts";
import { quick } from "../proxies.ts";
import { records, type OperationInput, type StepRecord } from "../records.ts";
import { attributesOf } from "../search.ts";
import type { PullInput } from "./pull.ts";

export interface PrefetchInput extends OperationInput {
  /** How many hosts fetch at the same time. */
  readonly atOnce: number;
}

export interface PrefetchTarget {
  readonly hostId: string;
  readonly host: string;
  /** It has the image already, as far as the hub knows. */
  readonly cached: boolean;
}

/** What a prefetch asks of the hub. Implemented in `activities/hub/prefetch.ts`. */
export interface PrefetchActivities {
  /** The hosts that the request means at this moment. */
  planPrefetch(input: { operationId: string }): Promise<{ image: string; targets: PrefetchTarget[] }>;
}

const hub = quick<PrefetchActivities>();

/** How one host's fetch ended. */
interface Ended {
  readonly host: string;
  readonly state: Extract<StepState, "done" | "skipped" | "failed" | "cancelled">;
  readonly fault?: Fault;
}

export async function prefetch(input: PrefetchInput): Promise<Record<string, unknown>> {
  const { operationId } = input;
  return runOperation(input, async ({ must }) => {
    const { image, targets } = await must("plan", () => hub.planPrefetch({ operationId }));
    const first: StepRecord = { name: "plan", position: 0, state: "done" };
    const steps = targets.map((target, n) => stepOf(target, n, target.cached ? "skipped" : "pending"));
    await records.recordSteps({ operationId, steps: [first, ...steps] });
    const ended = await fetchAll(input, image, targets);
    const missed = ended.filter(({ state }) => state !== "done");
    if (missed.length > 0) throw incomplete(image, targets.length, missed);
    return { image, hosts: targets.length, fetched: ended.length, cached: targets.length - ended.length };
  });
}

/** A few at a time; every one has ended when this returns or throws. */
async function fetchAll(input: PrefetchInput, image: string, targets: readonly PrefetchTarget[]): Promise<Ended[]> {
  const queue = targets.map((target, n) => ({ target, n })).filter(({ target }) => !target.cached);
  const ended: Ended[] = [];
  const stopped: { by: Error | null } = { by: null };
  const lane = async () => {
    for (let next = queue.shift(); next; next = queue.shift()) {
      const { target, n } = next;
      const tell = (state: StepState, fault?: Fault) =>
        records.recordSteps({ operationId: input.operationId, steps: [stepOf(target, n, state, fault)] });
      try {
        if (stopped.by) throw stopped.by;
        await tell("running");
        await fetchOn(input, image, target.hostId);
        await tell("done");
        ended.push({ host: target.host, state: "done" });
      } catch (error) {
        if (error instanceof Error && isCancellation(error) && CancellationScope.current().consideredCancelled) stopped.by ??= error;
        const state = isCancellation(error) ? "cancelled" : "failed";
        const fault = isCancellation(error) ? undefined : faultOf(error instanceof ChildWorkflowFailure ? error.cause : error);
        await CancellationScope.nonCancellable(() => tell(state, fault));
        ended.push({ host: target.host, state, ...(fault ? { fault } : {}) });
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(input.atOnce, queue.length) }, lane));
  if (stopped.by) throw stopped.by;
  return ended;
}

/** A pull of its own, which begins by writing its own operation: so nothing is left where this workflow ends before it began. */
async function fetchOn(input: PrefetchInput, image: string, hostId: string): Promise<void> {
  const { interfaceVersion, onFault, parkLimitMs } = input;
  const operationId = uuid4();
  const pull: PullInput = { interfaceVersion, operationId, onFault, parkLimitMs, subject: image, hostId, prefetchId: input.operationId };
  await executeChild("pull", {
    workflowId: workflowId("pull", image, operationId),
    args: [pull],
    cancellationType: "WAIT_CANCELLATION_COMPLETED",
    parentClosePolicy: "REQUEST_CANCEL",
    typedSearchAttributes: attributesOf({ operationId, hostId, image }),
    staticSummary: `pull ${image}`,
  });
}

const stepOf = ({ host }: PrefetchTarget, n: number, state: StepState, fault?: Fault): StepRecord => ({
  name: `fetch: ${host}`,
  position: n + 1,
  state,
  ...(fault ? { fault: faultRecord(fault) } : {}),
});

function incomplete(image: string, hosts: number, missed: readonly Ended[]) {
  const why = missed.map(({ host, fault }) => `${host} (${fault?.code ?? "cancelled"})`).join(", ");
  return refusal("prefetch_incomplete", `${missed.length} of ${hosts} hosts did not get ${image}: ${why}.`);
}
