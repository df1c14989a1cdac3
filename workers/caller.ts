/**
 * The worker on a caller's own computer: it does the part of one push that needs the bundle, and nothing else.
 *
 * The one idea: to the workflow it is a host with one operation; its queue is named by that operation, and its right ends with it.
 */
import { rm } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { Worker } from "@temporalio/worker";
import type { Logger } from "pino";
import { openAttempts } from "../activities/host/attempt.ts";
import { bundleActivities, journalOf } from "../activities/host/bundles.ts";
import { openGuard } from "../activities/host/guard.ts";
import type { HubLink } from "../activities/host/hub-link.ts";
import { openSlots } from "../activities/host/slots.ts";
import { defaultLevel } from "../images/level.ts";
import { freeLine } from "../images/line.ts";
import { callerQueue } from "../domain/operations/rules.ts";
import type { Prlctl } from "../parallels/prlctl.ts";
import { faultInterceptor } from "./faults.ts";

export interface Caller {
  readonly link: HubLink;
  readonly operationId: string;
  /** Parallels Desktop of this computer, where there is one. */
  readonly prlctl: Prlctl | null;
  readonly log: Logger;
  /** Ends the worker once the activity that runs has let go. */
  readonly signal: AbortSignal;
}

export async function serveCaller({ link, operationId, prlctl, log, signal }: Caller): Promise<void> {
  const onRefused = (id: string, reason: string) => log.warn({ event: "push.fenced", operationId: id, reason }, "This push was ended.");
  const attempts = openAttempts(openGuard(link, onRefused));
  const moving = { line: freeLine, level: defaultLevel };
  const context = { link, prlctl, attempts, transfers: openSlots(1), roots: null, ...folders(), moving };
  const worker = await Worker.create({
    connection: await link.connection(),
    namespace: link.namespace,
    taskQueue: callerQueue(operationId),
    activities: bundleActivities(context),
    interceptors: {
      activity: [faultInterceptor((err) => log.error({ event: "activity.unforeseen", err }, "A step failed in an unforeseen way."))],
    },
    maxConcurrentActivityTaskExecutions: 1,
    // Cancellation comes back with a heartbeat, and is promised within 5 s.
    maxHeartbeatThrottleInterval: "500 milliseconds",
    // The transfer saves its place in the journal, so it needs no long goodbye.
    shutdownGraceTime: "2 seconds",
  });
  if (signal.aborted) worker.shutdown();
  signal.addEventListener("abort", () => worker.getState() === "RUNNING" && worker.shutdown(), { once: true });
  await worker.run().finally(() => rm(journalOf(context.journalFolder, operationId), { force: true }));
}

/** Places of the user's own: journals end with the command, records stay for the next push. */
function folders() {
  const home = join(homedir(), ".cache", "drover");
  return { journalFolder: join(home, "journals"), recordFolder: join(home, "pushed") };
}
