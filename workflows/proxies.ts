/**
 * How long each kind of step may take and how often it is tried. Named by kind, so that a number stands in one place.
 */
import { proxyActivities, type ActivityInterfaceFor } from "@temporalio/workflow";
import { hostQueue, hubQueue } from "../domain/operations/rules.ts";

/** Reads and writes of the hub's database and store: seconds; 30 s outlast a failover, 5 tries a restart. */
export const quick = <A>(): ActivityInterfaceFor<A> =>
  proxyActivities<A>({
    taskQueue: hubQueue,
    startToCloseTimeout: "30 seconds",
    retry: { initialInterval: "200 milliseconds", maximumInterval: "10 seconds", maximumAttempts: 8 },
  });

/** Waits in the hub for another operation's undo: 60 s are allowed, 90 s leave room for the database. Heartbeats tell a dead hub worker. */
export const patient = <A>(): ActivityInterfaceFor<A> =>
  proxyActivities<A>({
    taskQueue: hubQueue,
    startToCloseTimeout: "90 seconds",
    heartbeatTimeout: "10 seconds",
    retry: { initialInterval: "1 second", maximumAttempts: 3 },
  });

/** Calls to the store from the hub, which may list thousands of objects. */
export const external = <A>(): ActivityInterfaceFor<A> =>
  proxyActivities<A>({
    taskQueue: hubQueue,
    startToCloseTimeout: "5 minutes",
    retry: { initialInterval: "1 second", maximumInterval: "15 seconds", maximumAttempts: 4 },
  });

/**
 * Work on one host. Twelve hours bound a transfer of a hundred gigabytes over a slow line; a host that died is told by its missing
 * heartbeats within 10 s. No schedule-to-start limit: a host that is away takes its work when it is back. Undo must not race work
 * still in flight, hence WAIT_CANCELLATION_COMPLETED.
 */
const patience = {
  startToCloseTimeout: "12 hours",
  heartbeatTimeout: "10 seconds",
  cancellationType: "WAIT_CANCELLATION_COMPLETED",
  retry: { initialInterval: "500 milliseconds", backoffCoefficient: 2, maximumInterval: "15 seconds", maximumAttempts: 4 },
} as const;

/** The same on a caller's own computer, which polls while its command runs: one that nobody polls for a minute was ended, and nobody will come back to it. */
export const onCaller = <A>(taskQueue: string, summary: string): ActivityInterfaceFor<A> =>
  proxyActivities<A>({ ...patience, taskQueue, scheduleToStartTimeout: "1 minute", summary });

export const onHost = <A>(hostId: string, summary: string): ActivityInterfaceFor<A> =>
  proxyActivities<A>({ ...patience, taskQueue: hostQueue(hostId), summary });
