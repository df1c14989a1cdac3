/**
 * Statements that end with the request that sent them.
 *
 * The one idea: PostgreSQL itself ends what is too late, by the time that is left when a transaction begins, so a statement of somebody else on the same
 * connection is never hit. Where nobody set a deadline, which is nearly always, nothing is added.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import type postgres from "postgres";
import { FaultError } from "../domain/errors.ts";

export interface Deadline {
  /** By `performance.now()`. */
  readonly at: number;
  /** What outlives its request has no deadline any more. */
  ended: boolean;
}
const deadlines = new AsyncLocalStorage<Deadline>();

/** All statements that `work` sends end by then, or fail with `deadline_exceeded`. */
export const within = <T>(deadline: Deadline, work: () => T): T => deadlines.run(deadline, work);

/** When the request that asks must be over; `Infinity` for one with any time. */
export function deadlineAt(): number {
  const deadline = deadlines.getStore();
  return !deadline || deadline.ended ? Infinity : deadline.at;
}
/** For what several requests share: it ends when the last of them must be over. */
export const until = <T>(at: number, work: () => T): T => (at === Infinity ? deadlines.exit(work) : within({ at, ended: false }, work));

/** Each waits for what is shared as long as it has time itself, and goes on in no other case. */
export function waitedFor<T>(shared: Promise<T>): Promise<T> {
  const at = deadlineAt();
  if (at === Infinity) return shared;
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(tooLate()), Math.max(0, at - performance.now()));
    const over = () => clearTimeout(timer);
    shared.finally(over).then(resolve, reject);
  });
}

function leftMs(): number | null {
  const at = deadlineAt();
  if (at === Infinity) return null;
  const left = Math.ceil(at - performance.now());
  if (left > 0) return left;
  throw tooLate();
}

const tooLate = () => new FaultError({ code: "deadline_exceeded", message: "The time that the request had is over." });

/** The same connections, for an ORM: its statements heed the deadline of whoever sends them. */
export function heedingDeadlines(sql: postgres.Sql): postgres.Sql {
  const begin = (work: (tx: postgres.TransactionSql) => unknown) => {
    const left = leftMs();
    return left === null ? sql.begin(work) : sql.begin(async (tx) => bounded(tx, left).then(() => work(tx)));
  };
  const unsafe = (...statement: Parameters<postgres.Sql["unsafe"]>) => {
    const left = leftMs();
    return left === null ? sql.unsafe(...statement) : alone(sql, statement, left);
  };
  const own: Record<string | symbol, unknown> = { begin, unsafe };
  return new Proxy(sql, { get: (target, name) => own[name] ?? Reflect.get(target, name) });
}

const bounded = (tx: postgres.TransactionSql, left: number) => tx.unsafe(`set local statement_timeout = ${left}`);

/** A statement in a transaction of its own, since only there a limit is its own. Sent in one go. */
function alone(sql: postgres.Sql, statement: Parameters<postgres.Sql["unsafe"]>, left: number) {
  const run = (asValues: boolean) =>
    sql.begin(async (tx) => {
      const sent = [bounded(tx, left), asValues ? tx.unsafe(...statement).values() : tx.unsafe(...statement)] as const;
      return (await Promise.all(sent))[1];
    });
  const settled = (...ways: Parameters<Promise<unknown>["then"]>) => run(false).then(...ways);
  // oxlint-disable-next-line unicorn/no-thenable -- it stands for a query, which is one
  return { values: () => run(true), then: settled };
}
