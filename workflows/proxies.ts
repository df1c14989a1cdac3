/**
 * How long each kind of step may take and how often it is tried. Named by kind, so that a number stands in one place.
 */
import {
  proxyActivities,
  proxyLocalActivities,
  type ActivityInterfaceFor,
  type ActivityOptions,
  type LocalActivityOptions,
} from "@temporalio/workflow";
import { hostQueue, hubQueue } from "../domain/operations/rules.ts";
import { summary } from "./shown.ts";

type Calls = Readonly<Record<string | symbol, (...args: unknown[]) => Promise<unknown>>>;

/** Activities that say in the web UI which step they are and what it is about: `subject`, or the operation's own. */
const named = <A>(options: ActivityOptions, subject?: string): ActivityInterfaceFor<A> =>
  byName<A>(() => proxyActivities<Calls>({ ...options, summary: summary(subject) }));

/** `proxy` is asked anew at each call, when it is known which step it is for. */
function byName<A>(proxy: () => Calls): ActivityInterfaceFor<A> {
  const names: ProxyHandler<object> = {
    get:
      (_, name) =>
      (...args: unknown[]) =>
        proxy()[name]?.(...args),
  };
  return new Proxy({}, names) as ActivityInterfaceFor<A>;
}

/**
 * Reads and writes of the hub's database: milliseconds, so they run within the workflow's own task and cost no turn of the server. 30 s outlast a failover.
 * Without a limit on attempts, because a database that is away for an hour must not fail what runs; every other fault ends after eight, which the worker sees
 * to. While an attempt waits for longer than five seconds its workflow can be told something.
 */
const ownHub: LocalActivityOptions = {
  startToCloseTimeout: "30 seconds",
  localRetryThreshold: "5 seconds",
  retry: { initialInterval: "200 milliseconds", maximumInterval: "10 seconds" },
};
export const quick = <A>(): ActivityInterfaceFor<A> => byName<A>(() => proxyLocalActivities<Calls>({ ...ownHub, summary: summary() }));

/** Waits in the hub for another operation's undo: 60 s are allowed, 90 s leave room for the database. Heartbeats tell a dead hub worker. */
export const patient = <A>(): ActivityInterfaceFor<A> =>
  named<A>({
    taskQueue: hubQueue,
    startToCloseTimeout: "90 seconds",
    heartbeatTimeout: "10 seconds",
    retry: { initialInterval: "1 second", maximumInterval: "10 seconds" },
  });

/**
 * Waits in the hub for what others do, for days if need be: a drain may wait a week for the last machine. It looks at rows, so whoever waits on after a hub
 * worker that died, told by its missing heartbeats, has lost nothing. A cancel comes back with a heartbeat, which is sent after four fifths of this limit: 5 s keep
 * cancels within the five seconds that they may take.
 */
export const vigil = <A>(): ActivityInterfaceFor<A> =>
  named<A>({
    taskQueue: hubQueue,
    startToCloseTimeout: "8 days",
    heartbeatTimeout: "5 seconds",
    cancellationType: "WAIT_CANCELLATION_COMPLETED",
    retry: { initialInterval: "1 second", maximumInterval: "15 seconds" },
  });

/**
 * One request to somebody else's server, which is given ten seconds. Its own failures are outcomes, not faults: what is tried again here is only what the hub's
 * database or a worker that died kept from being written down.
 */
export const outgoing = <A>(): ActivityInterfaceFor<A> =>
  named<A>({
    taskQueue: hubQueue,
    startToCloseTimeout: "60 seconds",
    retry: { initialInterval: "1 second", maximumInterval: "30 seconds" },
  });

/** Calls to the store from the hub, which may list thousands of objects. Heartbeats tell a dead hub worker, which minutes alone would tell late. */
export const external = <A>(): ActivityInterfaceFor<A> =>
  named<A>({
    taskQueue: hubQueue,
    startToCloseTimeout: "5 minutes",
    heartbeatTimeout: "10 seconds",
    retry: { initialInterval: "1 second", maximumInterval: "15 seconds", maximumAttempts: 4 },
  });

/**
 * Work on a whole store from the hub: twelve hours read ten terabytes at 250 MB/s. It goes on where it stood or begins anew without harm, so a hub worker that died,
 * told by its missing heartbeats, costs little. Undo and the next attempt must not race removals, hence WAIT_CANCELLATION_COMPLETED.
 */
export const storeWork = <A>(): ActivityInterfaceFor<A> =>
  named<A>({
    taskQueue: hubQueue,
    startToCloseTimeout: "12 hours",
    heartbeatTimeout: "10 seconds",
    cancellationType: "WAIT_CANCELLATION_COMPLETED",
    retry: { initialInterval: "1 second", maximumInterval: "15 seconds", maximumAttempts: 6 },
  });

/**
 * Work on one host. Twelve hours bound a transfer of a hundred gigabytes over a slow line; a host that died is told by its missing
 * heartbeats within 10 s. No schedule-to-start limit: a host that is away takes its work when it is back. Undo must not race work
 * still in flight, hence WAIT_CANCELLATION_COMPLETED. Twelve attempts, each ended by silence, are some four minutes: a host that fell asleep swallows one with each
 * poll that it had open, and is known as lost long before; one that this work kills again and again parks it. Faults end sooner, which the worker sees to.
 */
const patience = {
  startToCloseTimeout: "12 hours",
  heartbeatTimeout: "10 seconds",
  cancellationType: "WAIT_CANCELLATION_COMPLETED",
  retry: { initialInterval: "500 milliseconds", backoffCoefficient: 2, maximumInterval: "15 seconds", maximumAttempts: 12 },
} as const;

/** The same on a caller's own computer, which polls while its command runs: one that nobody polls for a minute was ended, and nobody will come back to it. */
export const onCaller = <A>(taskQueue: string, subject: string): ActivityInterfaceFor<A> =>
  named<A>({ ...patience, taskQueue, scheduleToStartTimeout: "1 minute" }, subject);

export const onHost = <A>(hostId: string, subject: string): ActivityInterfaceFor<A> =>
  named<A>({ ...patience, taskQueue: hostQueue(hostId) }, subject);

/**
 * Takes back what an operation did on a host. A command that hangs costs one attempt of twenty seconds; after a minute whoever pushes the operation aside
 * waits no longer either, and what is left there is the compare loop's.
 */
export const undoOnHost = <A>(hostId: string, subject: string): ActivityInterfaceFor<A> =>
  named<A>(
    {
      ...patience,
      startToCloseTimeout: "20 seconds",
      scheduleToCloseTimeout: "1 minute",
      retry: { initialInterval: "500 milliseconds", maximumInterval: "5 seconds" },
      taskQueue: hostQueue(hostId),
    },
    subject,
  );
