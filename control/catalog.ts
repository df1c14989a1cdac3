/**
 * What callers ask of the catalog: to publish a bundle, to bring an image to a host.
 *
 * The one idea: who asks may be refused here at once, by the same rules that the workflow's activities apply again when it counts.
 */
import type { Database } from "../db/connect.ts";
import { imageSubject } from "../db/holds.ts";
import { findHost } from "../db/hosts.ts";
import { findImage, resolveImages, type Reference } from "../db/images.ts";
import { findDefaultStore, findStore } from "../db/stores.ts";
import { mayPublish, mayWriteTo } from "../domain/catalog/publishing.ts";
import { imageName, mayPull, maySee, type Architecture, type Holder } from "../domain/catalog/rules.ts";
import type { ImageVersion, NewImageVersion, NewPull } from "../domain/catalog/schema.ts";
import { FaultError, unwrap, type Result } from "../domain/errors.ts";
import type { Host } from "../domain/hosts/schema.ts";
import type { Operation } from "../domain/operations/schema.ts";
import type { PullInput } from "../workflows/catalog/pull.ts";
import type { PushInput } from "../workflows/catalog/push.ts";
import type { OperationInput } from "../workflows/records.ts";
import { mustBeOwnPath } from "./bundles.ts";
import { holderOf, startOperation, type Asked, type Control, type Draft } from "./start.ts";

/** What a workflow's own input adds to the frame that `startOperation` gives it. */
export type Own<Input extends OperationInput> = Omit<Input, keyof OperationInput>;

/** Publishes a bundle that lies on a host, or on the caller's computer when none is named. */
export async function requestPush(control: Control, wanted: NewImageVersion, asked: Asked): Promise<Result<Operation>> {
  return startOperation(control, asked, async (tx): Promise<Draft> => {
    const { catalogId, version, architecture, hostId, path, replace, verify, onFault } = wanted;
    const { project } = asked.actor;
    const holder = holderOf(asked.actor);
    if (hostId !== null) {
      const host = await workingHost(tx, hostId);
      await mustBeOwnPath(tx, { hostId: host.id, path }, asked.actor);
    }
    const named = unwrap(wanted.storeId === undefined ? await findDefaultStore(tx) : await findStore(tx, wanted.storeId));
    const store = unwrap(mayWriteTo(named));
    const key = architecture === undefined ? null : { catalogId, version, architecture };
    if (key) {
      const existing = await findImage(tx, project, key);
      unwrap(mayPublish({ existing: existing.ok ? existing.value : null, holder, digest: null, replace }));
    }
    const subject = key ? imageName(key) : `${catalogId}/${version}`;
    const workflowInput: Own<PushInput> = { hostId, path, verify };
    return {
      verb: "push",
      subject,
      workflowSubject: subject,
      workflowType: "push",
      workflowInput: { ...workflowInput },
      hostId,
      image: subject,
      onFault,
      input: { ...wanted, storeId: store.id, holder },
      holds: key ? [{ ...imageSubject(project, subject), mode: "exclusive" }] : [],
    };
  });
}

/** Brings an image into a host's cache. */
export async function requestPull(control: Control, { image, hostId, onFault }: NewPull, asked: Asked): Promise<Result<Operation>> {
  return startOperation(control, asked, async (tx): Promise<Draft> => {
    const host = await workingHost(tx, hostId);
    const holder = holderOf(asked.actor);
    const version = await chooseImage(tx, {
      project: asked.actor.project,
      reference: image,
      preferred: host.facts?.architecture ?? null,
      holder,
    });
    const subject = imageName(version);
    const workflowInput: Own<PullInput> = { hostId };
    return {
      verb: "pull",
      subject: `${subject} to ${host.name}`,
      workflowSubject: subject,
      workflowType: "pull",
      workflowInput: { ...workflowInput },
      hostId,
      image: subject,
      onFault,
      input: { imageVersionId: version.id, holder },
      holds: [],
    };
  });
}

interface Choice {
  readonly project: string;
  readonly reference: Reference;
  /** Decides where the reference names no architecture and several have the version. */
  readonly preferred: Architecture | null;
  readonly holder: Holder;
}

/** The one version that a reference means and its holder may have. What the holder may not see does not exist for them. */
export async function chooseImage(tx: Database, { project, reference, preferred, holder }: Choice): Promise<ImageVersion> {
  const found = (await resolveImages(tx, project, reference)).filter((version) => maySee(version, holder));
  const [first, second] = found;
  const chosen = second ? found.find(({ architecture }) => architecture === preferred) : first;
  const name = [reference.catalogId, reference.version, reference.architecture].filter((word) => word !== undefined).join("/");
  if (chosen) {
    unwrap(mayPull(chosen));
    return chosen;
  }
  if (!first) throw new FaultError({ code: "image_not_found", message: `There is no image ${name}.`, subject: name });
  const message = `The image ${name} exists for ${found.map(({ architecture }) => architecture).join(" and ")}: name the architecture.`;
  throw new FaultError({ code: "invalid_request", message, subject: name });
}

/** A host that exists and takes work. One that is late or lost is waited for. */
export async function workingHost(tx: Database, hostId: string): Promise<Host> {
  const host = unwrap(await findHost(tx, hostId));
  if (!host.enabled) throw new FaultError({ code: "host_disabled", message: `The host ${host.name} is disabled.`, subject: host.name });
  return host;
}
