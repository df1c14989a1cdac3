/**
 * Makes the machines of a batch that were placed on this host.
 *
 * The one idea: one question to the hub tells which of them are still the batch's and gives each its fence; then each is made by the code that makes one. One
 * that meets a fault keeps nobody waiting: it falls out, and the workflow of its own meets the fault again.
 */
import type { BatchedMade, HostBatchActivities } from "../../workflows/machines/provision-many.ts";
import type { HostContext } from "./context.ts";
import { thisMoment } from "./guard.ts";
import { makeMachine } from "./machines.ts";

/**
 * Those that are made wait no longer for the next one to be: it takes guests that boot side by side some seconds each. One that is slower falls out, and its own
 * workflow goes on where it stands.
 */
const nextWithinMs = 15_000;

export function hostBatchActivities(context: HostContext, limitMs = nextWithinMs): HostBatchActivities {
  const { attempts, link, guard } = context;
  return {
    createMachines: ({ batch, hostId, shared, machines }) =>
      attempts.run(batch, "create many", async ({ signal }) => {
        const heard = thisMoment();
        const { fences } = await link.begin({ batch, operationIds: machines.map(({ operationId }) => operationId) }, signal);
        const made: BatchedMade[] = [];
        const patience = openPatience(limitMs);
        const within = AbortSignal.any([signal, patience.over]);
        const create = async ({ operationId, ...own }: (typeof machines)[number], fence: number) => {
          const placement = { ...shared, ...own, hostId };
          const begin = async () => {
            guard.begun(fence, heard);
            return fence;
          };
          made.push({ operationId, made: await makeMachine(context, { operationId, placement, skip: [] }, { begin, within }) });
          patience.renew();
        };
        const creating = machines.map(async (machine) => {
          const fence = fences[machine.operationId];
          if (fence !== undefined) await create(machine, fence).catch(() => undefined);
        });
        await Promise.all(creating).finally(patience.end);
        signal.throwIfAborted();
        return { made };
      }),
  };
}

function openPatience(limitMs: number) {
  const over = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const end = () => clearTimeout(timer);
  const renew = () => {
    end();
    timer = setTimeout(() => over.abort(new Error("The machines that are made wait no longer for this one.")), limitMs);
  };
  return { over: over.signal, renew, end };
}
