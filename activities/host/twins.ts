/**
 * Removes machines that the hub does not want here: they live elsewhere by now, or were retired while this host was away.
 *
 * The one idea: the hub says so with every report that still shows one, and only as long as it goes on saying so is the removal gone on with.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "pino";
import { reportIntervalMs } from "../../domain/hosts/rules.ts";
import type { ReportAnswer } from "../../domain/hosts/schema.ts";
import type { HostContext } from "./context.ts";
import { fenced, isFresh, type Moment, type Right } from "./guard.ts";
import { ensureAbsent } from "./machines.ts";

/** The next report is hurried; on a busy computer it and the one after it may be slow. */
const nextWordMs = 3 * reportIntervalMs;
const lookEveryMs = 100;

export function twinRemoval(context: HostContext, log: Logger): (machines: ReportAnswer["removeMachines"], asked: Moment) => void {
  const going = new Map<string, Right>();

  const remove = async (machineId: string, epoch: number, right: Right) => {
    const signal = new AbortController().signal;
    log.warn({ event: "host.twin", machineId, epoch }, "The hub says that this machine lives elsewhere or was retired: it is removed.");
    await context.guard
      .by(right, () => context.machines.run(machineId, signal, () => ensureAbsent(context, machineId, epoch, signal)))
      .catch((error: unknown) =>
        log.error({ event: "host.twin_failed", machineId, err: error }, "The machine could not be removed; the next report tries again."),
      );
  };
  return (machines, asked) => {
    for (const { machineId, epoch } of machines) {
      const key = `${machineId}/${epoch}`;
      const known = going.get(key);
      if (known) known.heard = asked;
      else {
        const right: Right = { heard: asked, renew: () => nextWord(context, machineId, right) };
        going.set(key, right);
        void remove(machineId, epoch, right).finally(() => going.delete(key));
      }
    }
  };
}

async function nextWord(context: HostContext, machineId: string, right: Right): Promise<void> {
  context.changed();
  for (const end = performance.now() + nextWordMs; performance.now() < end; await delay(lookEveryMs))
    if (right.heard !== null && isFresh(right.heard)) return;
  throw fenced(`The hub does not say any more that the machine ${machineId} is to be removed.`, machineId);
}
