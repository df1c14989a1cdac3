/** Images of the Parallels DevOps service in the fake world: one archive that is there, and what becomes of it. */
import type { UnpackedActivities, WantedArchive } from "../../workflows/catalog/fetch.ts";
import type { ExportActivities, SendActivities } from "../../workflows/catalog/export.ts";
import type { BringActivities, ConvertActivities, FoundArchive, ImportActivities } from "../../workflows/catalog/import.ts";
import { digest, meet, stepsOn, upload, wanted, type Endless, type World } from "./world.ts";

const told = { packKey: "sonoma/sonoma-arm64-1.0.pdpack", packBytes: 500, md5: null, logicalBytes: 1000, exact: true };
const found: FoundArchive = {
  ...told,
  kind: "pvm",
  description: "",
  tags: [],
  requiredRoles: [],
  requiredClaims: [],
  minimum: null,
  tainted: null,
  untaintedBy: null,
  revoked: null,
};
const archive: WantedArchive = { ...told, standIn: "b".repeat(64), measured: false };

type Through = BringActivities & SendActivities;
type HubArchives = ImportActivities & ExportActivities & UnpackedActivities & Through;

/** Another catalog, and the operations that are asked for on the way to it. */
const throughManagers = (world: World): Through => ({
  copyArchive: async () => {
    meet(world, "copy archive");
    world.acted.push("copied");
    return { copied: true };
  },
  makeMachine: async () => {
    meet(world, "make machine");
    world.acted.push("machine made");
    return { machineId: "m", madeBy: "o", fault: world.refusals.get("make machine") ?? null };
  },
  pushBundle: async () => {
    meet(world, "push bundle");
    world.acted.push("pushed");
    return { pushedBy: "o", fault: world.refusals.get("push bundle") ?? null };
  },
  registerThere: async () => {
    meet(world, "register");
    world.acted.push("registered");
  },
});

export function archivesOfHub(world: World, endless: Endless): HubArchives {
  return {
    ...throughManagers(world),
    findArchive: async () => {
      meet(world, "read manifest");
      return found;
    },
    recordArchive: async () => {
      meet(world, "record");
      return { imageVersionId: "v", image: wanted.image, wanted: { ...wanted, digest: archive.standIn, generation: 0, archive } };
    },
    recordUnpacked: async ({ unpacked }) => void world.acted.push(`record ${unpacked.digest}`),
    planConversion: async () => ({ storeId: "s", bases: [] }),
    checkConverted: async () => meet(world, "check store"),
    publishConverted: async () => {
      world.published.push("1.0");
      return { digest };
    },
    authoriseExport: async () => ({ imageVersionId: "v", image: wanted.image, digest, generation: 1, storeId: "s" }),
    writeArchive: async () => {
      meet(world, "write archive");
      if (world.endless.has("mac-1:write archive")) await endless("write archive");
      return { packKey: told.packKey, packBytes: 500, md5: "c".repeat(32), logicalBytes: 1000 };
    },
    recordExported: async () => void world.acted.push("record exported"),
  };
}

export function archivesOfHost(world: World, host: string, endless: Endless): Pick<ConvertActivities, "uploadCached"> {
  const at = stepsOn(world, host, endless);
  return {
    uploadCached: async () => {
      world.journals.add("upload");
      await at("upload");
      world.journals.clear();
      return upload;
    },
  };
}
