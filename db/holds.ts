/**
 * Holds: the right of an operation to change a machine, an image version or a store, or to share it with other readers.
 *
 * The one idea: whoever takes a hold first takes the subject's advisory lock, so "no exclusive one is there" stays true until its own row is committed.
 * The unique index on exclusive holds guards the same rule once more.
 */
import { and, eq, sql } from "drizzle-orm";
import { FaultError } from "../domain/errors.ts";
import type { HoldMode, OperationState, Verb } from "../domain/operations/rules.ts";
import type { Database } from "./connect.ts";
import { holds, operations } from "./schema.ts";

export interface Subject {
  readonly kind: "machine" | "image" | "store";
  readonly subjectId: string;
}
export interface Holder {
  readonly operationId: string;
  readonly mode: HoldMode;
  readonly verb: Verb;
  readonly state: OperationState;
  readonly workflowId: string;
  readonly hostId: string | null;
  readonly actor: string;
}

/** Everyone who holds the subject. */
export async function holdersOf(db: Database, { kind, subjectId }: Subject): Promise<Holder[]> {
  const { verb, state, workflowId, hostId, actor } = operations;
  return db
    .select({ operationId: holds.operationId, mode: holds.mode, verb, state, workflowId, hostId, actor })
    .from(holds)
    .innerJoin(operations, eq(operations.id, holds.operationId))
    .where(and(eq(holds.kind, kind), eq(holds.subjectId, subjectId)));
}

/** Takes the hold in the caller's transaction, or answers who is in the way. Taking it twice is taking it once. */
export async function takeHold(tx: Database, subject: Subject, operationId: string, mode: HoldMode): Promise<Holder | null> {
  await lockSubject(tx, subject);
  const others = (await holdersOf(tx, subject)).filter((holder) => holder.operationId !== operationId);
  const blocker = others.find((holder) => mode === "exclusive" || holder.mode === "exclusive");
  if (blocker) return blocker;
  await tx
    .insert(holds)
    .values({ ...subject, operationId, mode })
    .onConflictDoNothing();
  return null;
}

/** Of subjects that nobody knows yet, so that nobody can hold them. */
export async function insertHolds(
  tx: Database,
  told: readonly (Subject & { readonly operationId: string; readonly mode: HoldMode })[],
): Promise<void> {
  await tx.insert(holds).values(told.map(({ kind, subjectId, operationId, mode }) => ({ kind, subjectId, operationId, mode })));
}

/** The same for who cannot go on without it: `machine_busy` or `image_busy` names the operation that holds. */
export async function mustHold(tx: Database, subject: Subject & { name: string }, operationId: string, mode: HoldMode): Promise<void> {
  const { kind, subjectId, name } = subject;
  const blocker = await takeHold(tx, { kind, subjectId }, operationId, mode);
  if (blocker) throw busy(kind, name, blocker);
}

const busyCodes = { machine: "machine_busy", image: "image_busy", store: "store_busy" } as const;

export function busy(kind: Subject["kind"], name: string, holder: Pick<Holder, "operationId" | "verb" | "actor">): FaultError {
  const { operationId, verb, actor } = holder;
  const code = busyCodes[kind];
  return new FaultError({
    code,
    message: `${name} is held by the ${verb} operation ${operationId} of ${actor}.`,
    subject: name,
    details: { operationId, verb, actor },
  });
}

export async function releaseHolds(db: Database, operationId: string): Promise<void> {
  await db.delete(holds).where(eq(holds.operationId, operationId));
}

/** Refuses what may not happen while somebody changes the subject; true until the caller's transaction ends. */
export async function mustBeFree(tx: Database, { kind, subjectId, name }: Subject & { name: string }): Promise<void> {
  await lockSubject(tx, { kind, subjectId });
  const holder = (await holdersOf(tx, { kind, subjectId })).find(({ mode }) => mode === "exclusive");
  if (holder) throw busy(kind, name, holder);
}

/** The care for a store: what moves or removes its objects goes alone. Pushes and pulls hold nothing of it. */
export const storeSubject = ({ id, name }: { id: string; name: string }) => ({ kind: "store", subjectId: id, name }) as const;

/** Image versions are held by name: a push holds one that does not exist yet. */
export const imageSubject = (project: string, name: string) => ({ kind: "image", subjectId: `${project}/${name}`, name }) as const;

/** Held until the transaction ends. Two subjects whose hashes collide wait for each other, which costs time only. */
async function lockSubject(tx: Database, { kind, subjectId }: Subject): Promise<void> {
  await tx.execute(sql`select pg_advisory_xact_lock(hashtextextended(${`hold/${kind}/${subjectId}`}, 0))`);
}
