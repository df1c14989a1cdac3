/** Spoils packs in a store as disks and careless hands do, behind Drover's back. */
import { DeleteObjectCommand, GetObjectCommand, ListObjectsV2Command, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import type { World } from "./world.ts";

export interface Spoiled {
  /** The hashes that name the packs. */
  readonly packs: readonly string[];
  /** Puts them back as they were, as from a backup. */
  restore(): Promise<void>;
}

/** Those that `work` brings. */
export async function spoilPacks(world: World, how: "missing" | "broken", work: () => Promise<void>): Promise<Spoiled> {
  const { bucket } = world;
  const client = clientOf(world);
  const good = new Map<string, Buffer>();
  const packs = async () => {
    const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: bucket, Prefix: ".drover/v1/packs/" }));
    return Contents.map(({ Key = "" }) => Key);
  };
  try {
    const before = await packs();
    await work();
    const own = (await packs()).filter((key) => !before.includes(key));
    for (const Key of own) {
      const at = { Bucket: bucket, Key };
      const { Body } = await client.send(new GetObjectCommand(at));
      const bytes = Buffer.from((await Body?.transformToByteArray()) ?? []);
      good.set(Key, Buffer.from(bytes));
      await client.send(new DeleteObjectCommand(at));
      if (how === "broken") await client.send(new PutObjectCommand({ ...at, Body: flipped(bytes) }));
    }
    return {
      packs: own.map((key) => key.split("/").at(-1) ?? ""),
      restore: async () => {
        for (const [Key, Body] of good) await client.send(new PutObjectCommand({ Bucket: bucket, Key, Body }));
      },
    };
  } catch (error) {
    client.destroy();
    throw error;
  }
}

/** As an operator does it with the store's own tools. */
export async function removeObjects(world: World, keys: readonly string[]): Promise<void> {
  const client = clientOf(world);
  try {
    for (const Key of keys) await client.send(new DeleteObjectCommand({ Bucket: world.bucket, Key }));
  } finally {
    client.destroy();
  }
}

function clientOf({ s3 }: World): S3Client {
  const { accessKey, secretKey } = s3.keys();
  const credentials = { accessKeyId: accessKey, secretAccessKey: secretKey };
  return new S3Client({ endpoint: s3.endpoint, region: "us-east-1", forcePathStyle: true, credentials });
}

/** A byte of each 64 KiB, so that every chunk that is read has a good chance to be met. */
function flipped(bytes: Buffer): Buffer {
  for (let at = 1000; at < bytes.length; at += 65_536) bytes.writeUInt8(bytes.readUInt8(at) ^ 0xff, at);
  return bytes;
}
