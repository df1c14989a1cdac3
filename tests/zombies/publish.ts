/**
 * Pushes whose host falls asleep in the middle and that another attempt takes up when it wakes.
 *
 * The one idea: whatever the old attempt still does or tells, one version is there, it is that of the newest attempt, and it is whole.
 */
import { join } from "node:path";
import { pushActivities } from "../../activities/hub/catalog.ts";
import { Operation } from "../../cli/wire.ts";
import { openDatabase } from "../../db/connect.ts";
import { FaultError } from "../../domain/errors.ts";
import { packKey, packLimitBytes, sha256Hex } from "../../images/format.ts";
import { readImage } from "../../images/stored.ts";
import { makeSampleBundle } from "../../parallels/sample/make.ts";
import { folderStore } from "../../stores/folder.ts";
import { readAll } from "../../stores/object-store.ts";
import { machineFolderOf, moving, settled } from "../e2e/faults.ts";
import { until, type Ground } from "./ground.ts";

export interface Upload {
  readonly catalogId: string;
  readonly operationId: string;
  /** The fence of the attempt that fell asleep. */
  readonly fence: number;
}

const mebibyte = 1024 ** 2;
const sizes = { bytes: 48 * mebibyte, contentBytes: 24 * mebibyte, path: "", content: "pattern" } as const;

interface Source {
  readonly hostId: string;
  readonly catalogId: string;
  readonly bundlePath: string;
}

export async function makeSources({ stack, hosts }: Ground, round: number, perHost: number): Promise<Source[]> {
  const begun = hosts.flatMap((host) =>
    Array.from({ length: perHost }, (_, index) => ({ host, catalogId: `push-${round}-${host.name}-${index}` })),
  );
  return Promise.all(
    begun.map(async ({ host, catalogId }) => {
      const folder = join(machineFolderOf(stack, host.name), "sources");
      const { bundlePath } = await makeSampleBundle({ ...sizes, folder, name: catalogId });
      return { hostId: host.id, catalogId, bundlePath };
    }),
  );
}

/** Begins the pushes and returns in the middle of the first. */
export async function beginPushes({ stack, sql }: Ground, sources: readonly Source[]): Promise<Upload[]> {
  const uploads = await Promise.all(
    sources.map(async ({ hostId, catalogId, bundlePath }) => {
      const body = { path: bundlePath, hostId, catalogId, version: "1" };
      const { id } = await stack.client.send("POST", "/images", Operation, { body });
      return { catalogId, operationId: id };
    }),
  );
  // The others have begun too, or wait for their turn.
  await Promise.race(uploads.map(({ operationId }) => moving(stack, operationId, "upload")));
  const fences = await sql<
    { id: string; fence: number }[]
  >`select id, fence::float8 as fence from operations where id in ${sql(uploads.map((one) => one.operationId))}`;
  return uploads.map((upload) => ({ ...upload, fence: fences.find(({ id }) => id === upload.operationId)?.fence ?? 0 }));
}

/** Once the hosts are awake: old attempts publish nothing, and each version is the one that it should be, whole. */
export async function judgePushes(ground: Ground, uploads: readonly Upload[]): Promise<{ refused: number; wrong: string[] }> {
  const { stack, sql } = ground;
  const database = openDatabase(stack.env["DATABASE_URL"] ?? "", { connections: 1 });
  const wrong: string[] = [];
  let refused = 0;
  try {
    const { publishVersion } = pushActivities({ db: database.db, openStore: async () => folderStore(join(stack.home, "store")) });
    for (const upload of uploads) {
      await until(`the push of ${upload.catalogId} is taken up`, () => isTakenUp(ground, upload), 120_000);
      const late = await publishVersion({ operationId: upload.operationId, facts, upload: { ...told, fence: upload.fence } }).then(
        () => "taken",
        (error: unknown) => (error instanceof FaultError ? error.fault.code : String(error)),
      );
      if (late === "fenced" || late === "operation_settled") refused += 1;
      else wrong.push(`a late publish of ${upload.catalogId} was answered ${late}`);
    }
    for (const upload of uploads) wrong.push(...(await versionIsRight(ground, upload)));
  } finally {
    await database.close();
  }
  const [twice] = await sql<
    { count: number }[]
  >`select count(*)::int as count from (select 1 from image_versions group by project, catalog_id, version, architecture having count(*) > 1) as more`;
  if (twice?.count !== 0) wrong.push(`${twice?.count} versions are there twice`);
  return { refused, wrong };
}

/** By a newer attempt, which may have ended it. */
async function isTakenUp({ sql }: Ground, { operationId, fence }: Upload): Promise<boolean> {
  const [row] = await sql<{ taken: boolean }[]>`
    select fence::float8 <> ${fence}::float8 or state in ('done', 'failed', 'cancelled') as taken from operations where id = ${operationId}`;
  return row?.taken === true;
}

async function versionIsRight({ stack, sql }: Ground, { catalogId, operationId, fence }: Upload): Promise<string[]> {
  const { state, fault, result } = await settled(stack, operationId, 180_000);
  const rows = await sql<
    { digest: string; generation: number }[]
  >`select digest, generation from image_versions where catalog_id = ${catalogId}`;
  const [row] = rows;
  if (rows.length !== 1 || !row) return [`${catalogId} has ${rows.length} versions`];
  const wrong = await notWhole(stack.home, row);
  const [newest] = await sql<{ fence: number }[]>`select fence::float8 as fence from operations where id = ${operationId}`;
  if (state !== "done") wrong.push(`the push of ${catalogId} is ${state}: ${JSON.stringify(fault)}`);
  if (row.digest !== result?.["digest"] || result["fence"] !== newest?.fence || newest?.fence === fence)
    wrong.push(`${catalogId} was published by attempt ${String(result?.["fence"])} of ${newest?.fence}, and ${fence} had slept`);
  return wrong;
}

async function notWhole(home: string, ref: { digest: string; generation: number }): Promise<string[]> {
  const store = folderStore(join(home, "store"));
  const signal = new AbortController().signal;
  const { locations } = await readImage(store, ref, signal);
  const wrong = [];
  for (const { sha256 } of locations.packs) {
    const bytes = await readAll(await store.read(packKey(sha256), null, signal), sha256, packLimitBytes);
    if (sha256Hex(bytes) !== sha256) wrong.push(`the pack ${sha256} has other content`);
  }
  return wrong;
}

/** What an old attempt would tell: its fence is all that counts. */
const told = { digest: "0".repeat(64), generation: 1, files: 1, packs: 1, logicalBytes: 1, allocatedBytes: 1, storedBytes: 1, newBytes: 1 };
const facts = {
  path: "/nowhere",
  kind: "pvm",
  name: "zombie",
  guestOs: null,
  architecture: "arm64",
  vcpus: 1,
  memoryBytes: mebibyte,
  logicalBytes: 1,
  allocatedBytes: 1,
  machineId: null,
} as const;
