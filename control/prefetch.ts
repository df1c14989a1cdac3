/**
 * Prefetches: asked for by somebody, or by a policy whose image was published or whose time has come.
 *
 * The one idea: what was published is looked at, not told: whatever was published while nobody looked is seen at the next look; the time is Temporal's to tell. What a
 * policy begins it notes in the transaction that begins it.
 */
import type { Database } from "../db/connect.ts";
import { recordEvent } from "../db/events.ts";
import { listHosts } from "../db/hosts.ts";
import { findPolicy, policiesOn, policyFailed, policyStarts, type PolicyRow } from "../db/prefetch.ts";
import type { NewPrefetch } from "../domain/catalog/caching.ts";
import { imageName } from "../domain/catalog/rules.ts";
import type { ImageVersion } from "../domain/catalog/schema.ts";
import { FaultError, type Result } from "../domain/errors.ts";
import { targetsOf } from "../domain/hosts/selection.ts";
import type { Operation } from "../domain/operations/schema.ts";
import type { PrefetchInput } from "../workflows/catalog/prefetch.ts";
import { chooseImage, workingHost, type Own } from "./catalog.ts";
import { holderOf, startOperation, type Asked, type Control, type Draft } from "./start.ts";

export async function requestPrefetch(control: Control, wanted: NewPrefetch, asked: Asked): Promise<Result<Operation>> {
  return startOperation(control, asked, async (tx) => draftOf(tx, wanted, asked, await choose(tx, wanted, asked)));
}

const choose = (tx: Database, { image: reference }: Pick<NewPrefetch, "image">, { actor }: Asked): Promise<ImageVersion> =>
  chooseImage(tx, { project: actor.project, reference, preferred: null, holder: holderOf(actor) });

async function draftOf(tx: Database, wanted: NewPrefetch, asked: Asked, image: ImageVersion): Promise<Draft> {
  const { hostIds, labels, all, atOnce, onFault } = wanted;
  for (const id of hostIds) await workingHost(tx, id);
  const targets = targetsOf(await listHosts(tx), { hostIds, labels, all, architecture: image.architecture });
  const name = imageName(image);
  if (targets.length === 0)
    throw new FaultError({ code: "no_capacity", message: `No host that takes work and can run ${name} is meant.`, subject: name });
  const workflowInput: Own<PrefetchInput> = { atOnce };
  return {
    verb: "prefetch",
    subject: name,
    workflowSubject: name,
    workflowType: "prefetch",
    workflowInput: { ...workflowInput },
    image: name,
    onFault,
    input: { imageVersionId: image.id, holder: holderOf(asked.actor), hostIds, labels, all },
    holds: [],
  };
}

/** Starts what policies want of images that were published. One that cannot start says why and keeps no other from it. */
export async function startPolicies(control: Control): Promise<void> {
  for (const row of await policiesOn(control.db, "publish")) await startOrTell(control, row);
}

/** What a schedule asks for when the time of its policy has come. */
export async function prefetchDue(
  control: Control,
  { policyId, run }: { policyId: string; run: string },
): Promise<{ operations: string[] }> {
  const row = await findPolicy(control.db, policyId);
  const started = row && (await startOrTell(control, row, { key: `${run}/${policyId}`, route: "schedule prefetch", body: null }));
  return { operations: started ? [started.id] : [] };
}

async function startOrTell(control: Control, row: PolicyRow, idempotency?: Asked["idempotency"]): Promise<Operation | null> {
  const started = await startPolicy(control, row, idempotency);
  if (started.ok) return started.value;
  if (started.fault.message === row.policy.problem) return null;
  await policyFailed(control.db, row.policy.id, started.fault.message);
  control.log.warn(
    { event: "prefetch.policy_failed", policy: row.policy.name, fault: started.fault },
    "A prefetch policy could not start.",
  );
  return null;
}

/** Nothing to do is no fault: the same content was brought already, or there is no such image yet. */
async function startPolicy(
  control: Control,
  { policy, holder, createdById, lastDigest }: PolicyRow,
  idempotency: Asked["idempotency"],
): Promise<Result<Operation | null>> {
  const { image: reference, hostIds, labels, all, atOnce, createdBy, project, on } = policy;
  const { roles, claims, everything } = holder;
  const actor = { userId: createdById, username: createdBy, email: "", project, apiKeyId: null };
  const asked: Asked = {
    actor: { ...actor, roles: [...roles], claims: [...claims], isSuperUser: everything },
    requestId: null,
    ...(idempotency ? { idempotency } : {}),
  };
  try {
    const image = await choose(control.db, { image: reference }, asked).catch((error: unknown) => {
      if (error instanceof FaultError && error.fault.code === "image_not_found" && on === "publish") return null;
      throw error;
    });
    if (!image || (on === "publish" && image.digest === lastDigest)) return { ok: true, value: null };
    const wanted: NewPrefetch = { image: reference, hostIds, labels, all, atOnce, onFault: "fail" };
    return await startOperation(control, asked, async (tx, operationId) => {
      const draft = await draftOf(tx, wanted, asked, image);
      await policyStarts(tx, policy.id, { digest: image.digest, operationId });
      const body = { policy: policy.name, image: imageName(image), operationId };
      await recordEvent(tx, { type: "image", name: "image.prefetched", subjectId: image.id, operationId, project, body });
      return draft;
    });
  } catch (error) {
    if (error instanceof FaultError) return { ok: false, fault: error.fault };
    throw error;
  }
}
