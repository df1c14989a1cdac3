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

export function hostBatchActivities(context: HostContext): HostBatchActivities {
  const { attempts, link, guard } = context;
  return {
    createMachines: ({ batch, hostId, shared, machines }) =>
      attempts.run(batch, "create many", async ({ signal }) => {
        const heard = thisMoment();
        const { fences } = await link.begin({ batch, operationIds: machines.map(({ operationId }) => operationId) }, signal);
        const made: BatchedMade[] = [];
        const create = async ({ operationId, ...own }: (typeof machines)[number], fence: number) => {
          const placement = { ...shared, ...own, hostId };
          const begin = async () => {
            guard.begun(fence, heard);
            return fence;
          };
          made.push({ operationId, made: await makeMachine(context, { operationId, placement, skip: [] }, { begin, within: signal }) });
        };
        const creating = machines.map(async (machine) => {
          const fence = fences[machine.operationId];
          if (fence !== undefined) await create(machine, fence).catch(() => undefined);
        });
        await Promise.all(creating);
        signal.throwIfAborted();
        return { made };
      }),
  };
}
