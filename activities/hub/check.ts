/**
 * The hub looks at a store: at its structure, at the content of a share of it, and who could heal what is broken.
 *
 * The one idea: what is found is kept as rows, so that a version shows its damage until a later look, or a healing, finds it whole.
 */
import { hash } from "node:crypto";
import { careOf, hostsWithImage, listDamage, livingTrees, noteCare } from "../../db/care.ts";
import { imagesOfStore } from "../../db/images.ts";
import { imageName } from "../../domain/catalog/rules.ts";
import type { Finding } from "../../domain/catalog/care.ts";
import type { Operation } from "../../domain/operations/schema.ts";
import { checkContent, checkStructure } from "../../images/check.ts";
import { packFolders } from "../../images/collect.ts";
import { packKey } from "../../images/format.ts";
import type { CheckActivities, ContentLook } from "../../workflows/catalog/check.ts";
import type { ScrubActivities } from "../../workflows/catalog/scrub.ts";
import { keepFindings, openCared, type Cared, type Caring } from "./store-care.ts";

export interface Healing {
  /** Starts the healing of one tree as an operation of its own; null where that is not to be had now. */
  readonly heal: (ask: { storeId: string; digest: string; hostId: string; image: string; scrub: string }) => Promise<Operation | null>;
}

export function checkActivities(caring: Caring): CheckActivities {
  const { db, hubId } = caring;
  return {
    checkStoreStructure: async (ask) => {
      const cared = await openCared(caring, ask, { anyOwner: true });
      const { storeId, store, signal } = cared;
      const { identity } = await careOf(db, storeId);
      const living = await livingTrees(db, storeId);
      const structure = await checkStructure({ store, living, owner: { hubId, storeId: identity }, signal });
      const { findings, trees, packs, packBytes, orphans, orphanBytes, unknown: unknownObjects } = structure;
      const kept = await keepFindings(db, cared, { findings, looked: ({ content }) => !content });
      return { ...kept, trees, packs, packBytes, orphans, orphanBytes, unknownObjects };
    },

    checkStoreContent: async (ask) => {
      const cared = await openCared(caring, ask, { anyOwner: true });
      return lookAtContent(caring, cared, { wants: sampler(ask.operationId, ask.share), all: ask.share >= 1 });
    },
  };
}

export function scrubActivities(caring: Caring, { heal }: Healing): ScrubActivities {
  const { db } = caring;
  return {
    scrubStore: async (ask) => {
      const cared = await openCared(caring, ask);
      const { scrubNext } = await careOf(db, cared.storeId);
      const folders = Math.min(packFolders, Math.ceil(packFolders * (ask.share ?? caring.scrubShare)));
      const within = (sha256: string) => (Number.parseInt(sha256.slice(0, 2), 16) - scrubNext + packFolders) % packFolders < folders;
      const looked = await lookAtContent(caring, cared, { wants: within, all: folders === packFolders });
      await noteCare(db, cared.storeId, { scrubNext: (scrubNext + folders) % packFolders, scrubbed: true });
      return looked;
    },

    beginHealing: async ({ operationId }) => {
      const { storeId } = await openCared(caring, { operationId, step: "heal" });
      const digests = new Set((await listDamage(db, storeId)).flatMap((finding) => finding.digests));
      const healing: string[] = [];
      const unhealed: string[] = [];
      for (const image of await imagesOfStore(db, storeId, [...digests])) {
        const [host] = await hostsWithImage(db, image.digest);
        const ask = { storeId, digest: image.digest, image: imageName(image), scrub: operationId };
        const operation = host ? await heal({ ...ask, hostId: host.id }) : null;
        if (operation) healing.push(operation.id);
        else unhealed.push(imageName(image));
      }
      return { healing, unhealed };
    },
  };
}

/** The same packs when the same operation asks again. */
function sampler(operationId: string, share: number): (sha256: string) => boolean {
  return (sha256) => share >= 1 || Number.parseInt(hash("sha256", operationId + sha256).slice(0, 8), 16) < share * 2 ** 32;
}

async function lookAtContent(
  { db }: Caring,
  cared: Cared,
  { wants, all }: { wants: (sha256: string) => boolean; all: boolean },
): Promise<ContentLook> {
  const { storeId, store, folder, signal, progress } = cared;
  const living = await livingTrees(db, storeId);
  const { findings, packs, readBytes, wasRead } = await checkContent({ store, living, folder, wants, signal, onProgress: progress });
  // Locations are seen to be right only by all the packs that they name.
  const looked = ({ key, content }: Finding) => content && (key === packKey(key.slice(-64)) ? wasRead(key.slice(-64)) : all);
  const kept = await keepFindings(db, cared, { findings, looked });
  return { ...kept, readPacks: packs, readBytes };
}
