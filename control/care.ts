/**
 * What callers and schedules ask for the care of stores and images: collections, checks, scrubs, healings, retention.
 *
 * The one idea: each is an operation like any other. What moves or removes objects of a store holds it alone, what only reads or adds shares it.
 */
import type { Database } from "../db/connect.ts";
import { storeSubject } from "../db/holds.ts";
import { findHost } from "../db/hosts.ts";
import { findStore, listStores } from "../db/stores.ts";
import { projectsWithRules } from "../db/retention-rules.ts";
import { unwrap, type Result } from "../domain/errors.ts";
import { mayWriteTo } from "../domain/catalog/publishing.ts";
import { defaultProject } from "../domain/access/rules.ts";
import { holdModeOf, type OnFault } from "../domain/operations/rules.ts";
import type { Collection, Scrub, StoreCheck } from "../domain/catalog/care.ts";
import type { Store } from "../domain/catalog/schema.ts";
import type { Operation } from "../domain/operations/schema.ts";
import type { CheckInput } from "../workflows/catalog/check.ts";
import type { CollectInput } from "../workflows/catalog/collect.ts";
import type { HealInput } from "../workflows/catalog/heal.ts";
import type { ScrubInput } from "../workflows/catalog/scrub.ts";
import type { TendedCare } from "../workflows/catalog/tend.ts";
import type { Own } from "./catalog.ts";
import { system } from "./retire.ts";
import { startOperation, type Asked, type Control, type Draft } from "./start.ts";

/** A store whose objects are this hub's to judge: nothing of what lies in a read-only one is. */
const ownStore = async (tx: Database, idOrName: string): Promise<Store> => unwrap(mayWriteTo(unwrap(await findStore(tx, idOrName))));

type StoreVerb = "collect" | "check" | "scrub";

function storeDraft(verb: StoreVerb, store: Store, onFault: OnFault, own: Record<string, unknown>): Draft {
  return {
    verb,
    subject: store.name,
    workflowSubject: store.id,
    workflowType: verb,
    workflowInput: { storeId: store.id, ...own },
    onFault,
    input: { storeId: store.id, ...own },
    holds: [{ ...storeSubject(store), mode: holdModeOf(verb) }],
  };
}

export const requestCollect = (
  control: Control,
  storeId: string,
  { dryRun, onFault }: Collection,
  asked: Asked,
): Promise<Result<Operation>> =>
  startOperation(control, asked, async (tx) => {
    const own: Omit<Own<CollectInput>, "storeId"> = { dryRun };
    return storeDraft("collect", await ownStore(tx, storeId), onFault, own);
  });

export const requestCheck = (
  control: Control,
  storeId: string,
  { readData, onFault }: StoreCheck,
  asked: Asked,
): Promise<Result<Operation>> =>
  startOperation(control, asked, async (tx) => {
    const own: Omit<Own<CheckInput>, "storeId"> = { readData };
    return storeDraft("check", await ownStore(tx, storeId), onFault, own);
  });

export const requestScrub = (control: Control, storeId: string, { share, onFault }: Scrub, asked: Asked): Promise<Result<Operation>> =>
  startOperation(control, asked, async (tx) => {
    const own: Omit<Own<ScrubInput>, "storeId"> = { share: share ?? null };
    return storeDraft("scrub", await ownStore(tx, storeId), onFault, own);
  });

export const requestRetain = (control: Control, { onFault }: { onFault: OnFault }, asked: Asked): Promise<Result<Operation>> =>
  startOperation(control, asked, async (): Promise<Draft> => {
    const { project } = asked.actor;
    const more = { workflowType: "retain", workflowInput: {}, input: {}, holds: [] } as const;
    return { verb: "retain", subject: "image versions", workflowSubject: project, onFault, ...more };
  });

/** Has a damaged tree written anew by a host that has it. A host that is gone again fails it, and the next scrub asks another. */
export const requestHeal = (
  control: Control,
  { storeId, digest, hostId, image }: Own<HealInput> & { image: string },
  asked: Asked,
): Promise<Result<Operation>> =>
  startOperation(control, asked, async (tx: Database): Promise<Draft> => {
    const store = await ownStore(tx, storeId);
    const host = unwrap(await findHost(tx, hostId));
    const workflowInput: Own<HealInput> = { storeId, digest, hostId: host.id };
    return {
      verb: "heal",
      subject: `${image} from ${host.name}`,
      workflowSubject: digest,
      workflowType: "heal",
      workflowInput: { ...workflowInput },
      hostId: host.id,
      image,
      onFault: "fail",
      input: { ...workflowInput },
      holds: [{ ...storeSubject(store), mode: holdModeOf("heal") }],
    };
  });

/** What is due by schedule, of every store or project; what is busy or away is left to the next time, and the others go on. */
export async function tendAll(
  control: Control,
  { care, run }: { care: Exclude<TendedCare, "prefetch">; run: string },
): Promise<{ operations: string[] }> {
  const ask = (project: string, subject: string, body: unknown): Asked => ({
    actor: system(project),
    requestId: null,
    idempotency: { key: `${run}/${subject}`, route: `schedule ${care}`, body },
  });
  const begun: Array<Result<Operation>> = [];
  if (care === "retain") {
    for (const project of await projectsWithRules(control.db))
      begun.push(await requestRetain(control, { onFault: "fail" }, ask(project, project, null)));
  } else {
    for (const { id, readOnly } of await listStores(control.db))
      if (!readOnly) begun.push(await tendStore(control, care, id, ask(defaultProject, id, null)));
  }
  for (const result of begun)
    if (!result.ok)
      control.log.warn({ event: "care.put_off", care, fault: result.fault }, "What was due by schedule is left to the next time.");
  return { operations: begun.flatMap((result) => (result.ok ? [result.value.id] : [])) };
}

const tendStore = (control: Control, care: "collect" | "scrub", id: string, asked: Asked) =>
  care === "collect"
    ? requestCollect(control, id, { dryRun: false, onFault: "fail" }, asked)
    : requestScrub(control, id, { onFault: "fail" }, asked);
