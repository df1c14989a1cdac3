/**
 * How every operation begins: one transaction writes all that must be true together, then its workflow is started.
 *
 * The one idea: intent first. Once the transaction is committed the request is kept whatever happens: a start that fails here, or a process that dies,
 * leaves a row that the sweep starts. The workflow's id is the operation's, so two starts are one.
 */
import { randomUUIDv7 } from "node:crypto";
import { WorkflowExecutionAlreadyStartedError, WorkflowNotFoundError, type Client } from "@temporalio/client";
import { defineSearchAttributeKey, type SearchAttributePair } from "@temporalio/common";
import type { Logger } from "pino";
import { recordAudit, type NewAuditRecord } from "../db/audit.ts";
import { inTransaction, type Database } from "../db/connect.ts";
import { recordEvent, type NewEvent } from "../db/events.ts";
import { mustHold, type Subject } from "../db/holds.ts";
import { claimKey, pointKey, type IdempotentRequest } from "../db/idempotency.ts";
import { deleteIntent, insertIntent, type Intent } from "../db/intents.ts";
import type { JobWords } from "../db/jobs.ts";
import { findOperation, insertOperation, moveOperation, type NewOperation } from "../db/operations.ts";
import type { SystemReserve } from "../db/placements.ts";
import type { Actor } from "../domain/access/schema.ts";
import type { Holder } from "../domain/catalog/rules.ts";
import { unwrap, type Result } from "../domain/errors.ts";
import { hubQueue, workflowId, type HoldMode, type OnFault, type Verb } from "../domain/operations/rules.ts";
import type { Operation } from "../domain/operations/schema.ts";
import type { Sealer } from "../security/sealing.ts";

export interface Control {
  readonly db: Database;
  readonly temporal: Client;
  readonly sealer: Sealer;
  readonly hubId: string;
  readonly parkLimitMs: number;
  /** After this long an orphan that nobody claimed is removed; null leaves them all. */
  readonly orphanLimitMs: number | null;
  /** What every host holds back from machines. */
  readonly reserve: SystemReserve;
  readonly log: Logger;
}

/** Who asks, in which request; with a key, the same request again is the same operation. */
export interface Asked {
  readonly actor: Actor;
  readonly requestId: string | null;
  /** The address that asks; absent where the hub asks itself. */
  readonly source?: string;
  readonly idempotency?: Omit<IdempotentRequest, "caller">;
  /** For requests that do not say it themselves: `park` unless the caller cannot know of parking. */
  readonly onFault?: OnFault;
  /** The wire's words for what is asked: its job is called so from the first answer to the last. */
  readonly job?: JobWords;
  /** What the asker itself calls that job. */
  readonly givenJobId?: string | null;
}

/** An operation as its intent writes it. */
export interface Draft {
  readonly verb: Verb;
  /** For people: an image, a machine. */
  readonly subject: string;
  /** The middle part of the workflow's id. */
  readonly workflowSubject: string;
  readonly workflowType:
    | "prefetch"
    | "cache"
    | "push"
    | "pull"
    | "provision"
    | "retire"
    | "adopt"
    | "letGo"
    | "operate"
    | "collect"
    | "check"
    | "scrub"
    | "heal"
    | "retain"
    | "import"
    | "export"
    | "drain";
  /** What the workflow needs beyond what every workflow gets. */
  readonly workflowInput: Readonly<Record<string, unknown>>;
  readonly hostId?: string | null;
  readonly machineId?: string | null;
  readonly image?: string | null;
  readonly onFault: OnFault;
  /** What the hub's activities need to know later; no secrets. */
  readonly input: Record<string, unknown>;
  readonly holds: ReadonlyArray<Subject & { readonly name: string; readonly mode: HoldMode }>;
}
/** Reads and decides in the intent's transaction; a fault thrown here undoes it all. `already`: the operation that this request asks for exists. */
export type Prepare = (tx: Database, operationId: string) => Promise<Draft | { readonly already: Operation }>;

export async function startOperation(control: Control, asked: Asked, prepare: Prepare, secret?: unknown): Promise<Result<Operation>> {
  const operationId = randomUUIDv7();
  // Sealed before the transaction, which so never waits for a second connection.
  const sealed = secret === undefined ? null : await control.sealer.seal(secret, `operation:${operationId}`);
  const intended = await inTransaction(control.db, (tx) => intend({ control, asked, prepare, operationId, sealed }, tx));
  if (!intended.ok) return intended;
  const { operation, intent } = intended.value;
  if (!intent) return { ok: true, value: operation };
  await launch(control, intent, operation).catch((cause: unknown) => {
    control.log.warn({ event: "operation.start_failed", operationId, err: cause }, "the workflow could not be started; the sweep will");
  });
  return findOperation(control.db, operationId);
}

interface Intending {
  readonly control: Control;
  readonly asked: Asked;
  readonly prepare: Prepare;
  readonly operationId: string;
  readonly sealed: Uint8Array | null;
}

async function intend(
  { control, asked, prepare, operationId, sealed }: Intending,
  tx: Database,
): Promise<{ operation: Operation; intent: Intent | null }> {
  const { actor, idempotency } = asked;
  const earlier = idempotency ? await claimKey(tx, { caller: actor.userId, ...idempotency }, operationId) : null;
  if (earlier !== null) return { operation: unwrap(await findOperation(tx, earlier)), intent: null };
  const draft = await prepare(tx, operationId);
  if ("already" in draft) {
    if (idempotency) await pointKey(tx, { caller: actor.userId, ...idempotency }, draft.already.id);
    return { operation: draft.already, intent: null };
  }

  const rows = rowsOf(control, asked, operationId, draft);
  const operation = await insertOperation(tx, { ...rows.operation, sealed });
  for (const { mode, ...held } of draft.holds) await mustHold(tx, held, operationId, mode);
  await insertIntent(tx, rows.intent);
  await recordEvent(tx, rows.event);
  await recordAudit(tx, rows.audit);
  return { operation, intent: rows.intent };
}

/** What an intent writes of one operation. */
export function rowsOf(control: Pick<Control, "parkLimitMs">, asked: Asked, operationId: string, draft: Draft) {
  const { actor, requestId, source } = asked;
  const { verb, subject, hostId = null, machineId = null, image = null, onFault, input } = draft;
  const operation = {
    id: operationId,
    verb,
    subject,
    hostId,
    machineId,
    image,
    onFault,
    workflowId: workflowId(verb, draft.workflowSubject, operationId),
    input: asked.job ? { ...input, job: asked.job } : input,
    sealed: null,
    givenJobId: asked.givenJobId ?? null,
    project: actor.project,
    actor: actor.username,
    actorId: actor.userId,
    requestId,
  } satisfies NewOperation;
  const frame = { interfaceVersion: 1, operationId, onFault, parkLimitMs: control.parkLimitMs, subject };
  const intent: Intent = { operationId, workflowType: draft.workflowType, workflowInput: { ...draft.workflowInput, ...frame } };
  const about = { subjectId: operationId, operationId, project: actor.project, body: { verb, subject } };
  const event: NewEvent = { type: "operation", name: "operation.pending", ...about };
  const audit: NewAuditRecord = {
    actor: actor.username,
    action: `${verb}.accepted`,
    subject,
    outcome: "accepted",
    operationId,
    requestId,
    source,
  };
  return { operation, intent, event, audit };
}

/** Temporal answers in milliseconds. After 5 s nobody waits on: the loops try again. */
const answerLimitMs = 5_000;
export const answered = <T>(temporal: Client, call: () => Promise<T>): Promise<T> =>
  temporal.withDeadline(Date.now() + answerLimitMs, call);

/** Null where there is no such workflow. */
export async function statusOf({ temporal }: Pick<Control, "temporal">, id: string): Promise<string | null> {
  try {
    return (await answered(temporal, () => temporal.workflow.getHandle(id).describe())).status.name;
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return null;
    throw error;
  }
}

/** Starts the workflow of an intent. Starting it again, from here or from the sweep, finds it started. */
export async function launch(control: Control, intent: Intent, operation: Operation): Promise<void> {
  const { operationId, workflowType, workflowInput } = intent;
  await answered(control.temporal, async () => {
    try {
      await control.temporal.workflow.start(workflowType, {
        workflowId: operation.workflowId,
        taskQueue: hubQueue,
        workflowIdReusePolicy: "REJECT_DUPLICATE",
        args: [workflowInput],
        typedSearchAttributes: searchAttributes(operation),
        staticSummary: `${operation.verb} ${operation.subject}`,
        staticDetails: staticDetails(operation),
      });
    } catch (error) {
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
    }
  });
  const won = await control.db.transaction(async (tx) => {
    // The operation's row first, as everywhere: a quick operation settles at the same moment.
    const moved = await moveOperation(tx, operationId, ["pending"], "running");
    await deleteIntent(tx, operationId);
    return moved;
  });
  if (!won) await cancelIfWanted(control, operationId);
}

/** For whoever knows only the web UI. The codec encrypts it as it does payloads. */
function staticDetails({ id, verb, subject, actor, hostId, machineId, image, onFault, createdAt }: Operation): string {
  const about = Object.entries({ operation: id, "asked by": actor, host: hostId, machine: machineId, image, "at a fault": onFault });
  const facts = about.filter(([, value]) => value !== null).map(([name, value]) => `- ${name}: \`${value}\``);
  const words = `\`drover operation show ${id}\` tells the same. The current details say what it does now, and what to send when it waits.`;
  return [`**${verb} ${subject}**, asked for at ${createdAt.toISOString()}`, facts.join("\n"), words].join("\n\n");
}

/** Whoever cancelled between the intent and its start found no workflow to cancel. */
async function cancelIfWanted({ db, temporal }: Control, operationId: string): Promise<void> {
  const operation = await findOperation(db, operationId);
  if (!operation.ok || operation.value.state !== "cancelling") return;
  const { workflowId } = operation.value;
  await answered(temporal, () => temporal.workflow.getHandle(workflowId).cancel());
}

const keyword = (name: string) => defineSearchAttributeKey(name, "KEYWORD");
const attributes = {
  operation: keyword("DroverOperation"),
  host: keyword("DroverHost"),
  machine: keyword("DroverMachine"),
  image: keyword("DroverImage"),
  actor: keyword("DroverActor"),
};

function searchAttributes({ id, hostId, machineId, image, actor }: Operation): SearchAttributePair[] {
  const when = (key: (typeof attributes)[keyof typeof attributes], value: string | null) => (value === null ? [] : [{ key, value }]);
  return [
    { key: attributes.operation, value: id },
    { key: attributes.actor, value: actor },
    ...when(attributes.host, hostId),
    ...when(attributes.machine, machineId),
    ...when(attributes.image, image),
  ];
}

/** What the one who asks may see, as it is at the request; kept in the operation, since workflows run on the caller's behalf. */
export const holderOf = ({ roles, claims, isSuperUser }: Actor): Holder => ({ roles, claims, everything: isSuperUser });
