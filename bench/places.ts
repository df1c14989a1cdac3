/**
 * The places that images are pushed to and pulled from: a folder store, an S3 server on loopback, and a host whose file system clones files.
 */
import { join } from "node:path";
import { S3Client } from "@aws-sdk/client-s3";
import { startS3Server } from "../tests/stores/s3-server.ts";
import { openCloneDisk } from "./clone-disk.ts";
import { measureStore, type Measured, type MeasureAsk } from "./measure.ts";
import { sendAlone } from "./alone.ts";
import { fileShelf, s3Shelf } from "./peers.ts";
import { remarksOf, rowsOf, type Place } from "./rows.ts";
import type { RealStoreAt } from "./store-at.ts";
import { smallerIsBetter, type Row } from "./table.ts";

export interface PlaceAsk extends Pick<MeasureAsk, "root" | "gib" | "runs" | "path" | "say"> {
  /** What was measured before in the same run. */
  readonly earlier: readonly Told[];
}

export interface Told {
  readonly name: string;
  readonly rows: readonly Row[];
  /** What the rows have no place for, as sentences. */
  readonly remarks: readonly string[];
  readonly firstPushSeconds: number;
}

const gibibyte = 2 ** 30;

export async function measureFolder(ask: PlaceAsk): Promise<Told> {
  const measured = await measureStore({
    ...ask,
    hostRoot: null,
    store: folderAt(ask.root),
    shelf: fileShelf(join(ask.root, "peer.tar.zst")),
  });
  return told({ name: "folder", gib: ask.gib, suffix: "", clones: false }, measured);
}

/** The cache and the machines of the host lie on a file system that clones, as on a Mac; the store stays where it is. */
export async function measureClones(ask: PlaceAsk): Promise<Told> {
  const disk = await openCloneDisk(ask.root, ((2 + ask.runs) * ask.gib + 1) * gibibyte, ask.path);
  if (typeof disk === "string") return { name: "clone", rows: [], remarks: [disk], firstPushSeconds: 0 };
  try {
    const shelf = fileShelf(join(ask.root, "peer.tar.zst"));
    const measured = await measureStore({ ...ask, hostRoot: disk.path, store: folderAt(ask.root), shelf });
    const here = told({ name: disk.kind, gib: ask.gib, suffix: "", clones: true }, measured);
    return { ...here, rows: here.rows.filter(({ what }) => /^(pull|delta pull|provision)/.test(what)) };
  } finally {
    await disk.close();
  }
}

export async function measureS3(ask: PlaceAsk): Promise<Told> {
  const server = await startS3Server();
  const { endpoint, accessKey: accessKeyId, secretKey: secretAccessKey } = server;
  const client = new S3Client({ endpoint, region: "us-east-1", forcePathStyle: true, credentials: { accessKeyId, secretAccessKey } });
  try {
    const bucket = await server.makeBucket();
    const store = (name: string): RealStoreAt => ({
      location: { kind: "s3", bucket, prefix: `${name}/`, region: "us-east-1", endpoint },
      credentials: { accessKeyId, secretAccessKey },
    });
    const measured = await measureStore({ ...ask, hostRoot: null, store, shelf: s3Shelf(client, bucket) });
    ask.say("packs alone");
    const alone = await sendAlone(store("run-0"), store("alone"));
    const here = told({ name: "s3", gib: ask.gib, suffix: " | S3", clones: false }, measured);
    return { ...here, rows: [...here.rows, ...lineRow(ask, here.firstPushSeconds, alone)] };
  } finally {
    client.destroy();
    await server.stop();
  }
}

/** Where the server is slower than the local push, no push can be faster than the server. */
function lineRow({ earlier, gib }: PlaceAsk, seconds: number, aloneSeconds: number): Row[] {
  const local = earlier.find(({ name }) => name === "folder")?.firstPushSeconds;
  if (local === undefined) return [];
  const peer =
    local >= aloneSeconds ? { name: "first push, folder", value: local } : { name: "the packs alone, from memory", value: aloneSeconds };
  return [smallerIsBetter(`first push, s3 beside the slower of both, ${gib} GiB`, seconds, "s", peer, { leastRatio: 1 / 1.2 })];
}

const folderAt =
  (root: string) =>
  (name: string): RealStoreAt => ({ location: { kind: "folder", path: join(root, "stores", name) }, credentials: null });

function told(place: Place, measured: Measured): Told {
  const firstPushSeconds = measured.steps.get("first push")?.ours.seconds ?? 0;
  return { name: place.name, rows: rowsOf(place, measured), remarks: remarksOf(place, measured), firstPushSeconds };
}
