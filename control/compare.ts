/**
 * Compares what is known of hosts and machines with what was reported last: believes what was done by hand, repairs what happened by accident, and tells
 * who must know.
 *
 * The one idea: level-triggered. Whatever was told or decided stands in its row, so a new leader goes on where the old one was.
 */
import { WorkflowNotFoundError } from "@temporalio/client";
import { differingMachines, noteUnrepaired, settleDifference, type Repair } from "../db/differences.ts";
import { markTold, markUnknown, operationsToTell, tellHostStates, type IsSilent, type IsSteady, type ToTell } from "../db/liveness.ts";
import { finishMade } from "../db/made.ts";
import { lastOperation } from "../db/operations.ts";
import { orphansOver, tellStandings } from "../db/unclaimed.ts";
import { factsOf } from "../domain/errors.ts";
import { lostAfterMs, steadyAfterMs } from "../domain/hosts/rules.ts";
import { repairAgainAfterMs } from "../domain/machines/truth.ts";
import { requestAction } from "./machines.ts";
import { requestRetire, system } from "./retire.ts";
import { answered, type Control } from "./start.ts";

/** What one pass does at most, so that none outlasts its turn; the rest comes next. */
const perPass = 500;

/**
 * `listenMs`: how long the one who compares must have heard nothing of a host itself before it tells that the host is lost.
 * `hasEars`: whether hosts could be heard just now. `steadyMs`: how long a host that was late must have been in time.
 */
export function comparer(
  control: Control,
  {
    listenMs = lostAfterMs,
    steadyMs = steadyAfterMs,
    hasEars = async () => true,
  }: { listenMs?: number; steadyMs?: number; hasEars?: () => Promise<boolean> } = {},
): () => Promise<void> {
  const { db, hubId } = control;
  let isSilent = listener(listenMs);
  const isSteady = steadiness(steadyMs);
  return async () => {
    if (!(await hasEars())) isSilent = listener(listenMs);
    await tellHostStates(db, { isSilent, isSteady });
    for (const told of await operationsToTell(db, perPass)) await tellOperation(control, told);
    await finishMade(db, hubId, perPass);
    for (const id of await differingMachines(db, control, perPass)) await settleOne(control, id);
    await markUnknown(db, perPass);
    await tellStandings(db, hubId);
    await retireOrphans(control);
  };
}

/**
 * After a database that was away or restored, or while no gateway listens, every host's last report is old, and none is lost for that: what counts is the time in which a report could
 * have come and did not.
 */
function listener(listenMs: number): IsSilent {
  const heard = new Map<string, { readonly at: number | undefined; readonly sinceMs: number }>();
  return (hostId, lastReportAt) => {
    const at = lastReportAt?.getTime();
    const before = heard.get(hostId);
    const known = before && before.at === at ? before : { at, sinceMs: performance.now() };
    heard.set(hostId, known);
    return performance.now() - known.sinceMs >= listenMs;
  };
}

/** A look that finds a host in another state begins its time anew; so does another leader, which only makes it longer. */
function steadiness(steadyMs: number): IsSteady {
  const since = new Map<string, { readonly state: string; readonly ms: number }>();
  return (hostId, state) => {
    const before = since.get(hostId);
    const known = before && before.state === state ? before : { state, ms: performance.now() };
    since.set(hostId, known);
    return performance.now() - known.ms >= steadyMs;
  };
}

/** One that fails does not keep the others waiting. */
async function settleOne(control: Control, id: string): Promise<void> {
  try {
    const repair = await settleDifference(control.db, control, id);
    if (repair) await start(control, repair);
  } catch (cause) {
    control.log.error({ event: "compare.failed", machineId: id, err: cause }, "a machine could not be compared; it is tried again");
  }
}

/** As an operation like any other, so that it can be seen, and told what to do when it parks. */
async function start({ db, ...control }: Control, { id, project, verb }: Repair): Promise<void> {
  const begun = await requestAction({ db, ...control }, id, { verb }, { actor: system(project), requestId: null });
  if (begun.ok) return;
  const { code, message } = begun.fault;
  await noteUnrepaired(db, id, `It stopped when its host restarted and was not started again: ${message}`, factsOf(code).remedy);
}

/** Removes orphans that nobody claimed within the limit, where one is set. One whose end failed is tried again after a while. */
async function retireOrphans(control: Control): Promise<void> {
  const { db, hubId, orphanLimitMs, log } = control;
  if (orphanLimitMs === null) return;
  for (const { seen, host } of await orphansOver(db, hubId, orphanLimitMs)) {
    const last = await lastOperation(db, seen.id, "retire");
    if (last && (last.endedAt === null || Date.now() - last.endedAt.getTime() < repairAgainAfterMs)) continue;
    const begun = await requestRetire(control, seen.id, { force: true }, { actor: system(host.project), requestId: null });
    if (!begun.ok) log.warn({ event: "orphan.kept", machineId: seen.id, fault: begun.fault }, "an orphan could not be removed");
  }
}

/** The signal first, then the mark: told twice does no harm, never told would. */
async function tellOperation({ db, temporal, log }: Control, { operationId, workflowId, hostId, state }: ToTell): Promise<void> {
  const lost = state === "lost";
  try {
    await answered(temporal, () => temporal.workflow.getHandle(workflowId).signal(lost ? "hostLost" : "hostBack", hostId));
  } catch (cause) {
    // One that ended from outside is the sweep's.
    if (!(cause instanceof WorkflowNotFoundError)) {
      log.error({ event: "compare.untold", operationId, err: cause }, "an operation could not be told about its host; it is tried again");
      return;
    }
  }
  await markTold(db, operationId, lost);
}
