/**
 * One stack for the symptoms of storage: its default store is S3 behind a middleman, so that its credentials, its way and its objects can be spoiled.
 *
 * The one idea: faults are caused where they arise (the store's own keys, the disk, the way to the store), and an operator's terminal mends them.
 */
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { makeSampleBundle } from "../../parallels/sample/make.ts";
import { onDiskOf } from "../e2e/faults.ts";
import { openStack, ownServers, type TestStack } from "../e2e/stack.ts";
import { startMiddleman, type Middleman } from "../stores/middleman.ts";
import { startS3Server, type S3Server } from "../stores/s3-server.ts";
import { openTerminal, type Terminal } from "./terminal.ts";

export const host = "mac-1";
/** Where machines lie on the host, below the stack's home. */
export const machines = `hosts/${host}/simulator/Parallels`;
export const small = ["--cpus", "1", "--memory", "512M"];
const mebibyte = 1024 ** 2;

export interface Started {
  readonly id: string;
  readonly workflowId: string;
}

export interface World extends Terminal {
  readonly stack: TestStack;
  readonly s3: S3Server;
  readonly bucket: string;
  readonly way: Middleman;
  /** What lies on the host when nothing is wrong. */
  readonly before: { readonly bundles: string[]; readonly cached: string[] };
  /** Starts an operation and does not wait for it. */
  start(...words: string[]): Promise<Started>;
  /** A bundle with content of its own, which follows from its name. */
  sample(name: string, contentMebibytes: number, folder?: string): Promise<string>;
  /** Pushes such a bundle from the host as version 1, and leaves no bundle there. */
  publish(name: string, contentMebibytes: number): Promise<void>;
  close(): Promise<void>;
}

export async function openWorld(): Promise<World> {
  const s3 = await startS3Server();
  const way = await startMiddleman(s3.endpoint);
  const bucket = await s3.makeBucket();
  const stack = await openStack({
    ...(await ownServers()),
    DROVER_HOSTS: "1",
    // Where an operator opens the web UI; its address is told, not asked for.
    TEMPORAL_UI_URL: "http://127.0.0.1:8233",
    DROVER_STORE: `s3://${bucket}/?endpoint=${encodeURIComponent(way.endpoint)}`,
    DROVER_STORE_ACCESS_KEY: s3.accessKey,
    DROVER_STORE_SECRET_KEY: s3.secretKey,
    // A real store is given more; a stalled one is to be told within the test.
    DROVER_STORE_SILENCE: "1s",
  });
  const { type } = await openTerminal(stack);
  const sample = (name: string, contentMebibytes: number, folder = "own") => sampleIn(join(stack.home, folder), name, contentMebibytes);
  const publish = async (name: string, contentMebibytes: number) => {
    const bundle = await sample(name, contentMebibytes, machines);
    await stack.json("push", bundle, name, "--version", "1", "--host", host);
    await rm(bundle, { recursive: true });
  };
  await publish("base", 8);
  await stack.json("pull", "base:1", "--host", host);
  return {
    stack,
    s3,
    bucket,
    way,
    type,
    sample,
    publish,
    before: await onDiskOf(stack, host),
    start: (...words) => stack.json<Started>(...words, "--detach"),
    close: async () => {
      await stack.close();
      await way.stop();
      await s3.stop();
    },
  };
}

async function sampleIn(folder: string, name: string, contentMebibytes: number): Promise<string> {
  await mkdir(folder, { recursive: true });
  const sizes = { bytes: 2 * contentMebibytes * mebibyte, contentBytes: contentMebibytes * mebibyte };
  return (await makeSampleBundle({ folder, name, ...sizes, path: "", content: "pattern" })).bundlePath;
}

/** Lists of workflows lag a little behind what they list. */
export async function listed(world: World, query: string): Promise<void> {
  const { TEMPORAL_ADDRESS: address = "", TEMPORAL_NAMESPACE: namespace = "" } = world.stack.env;
  const { Connection } = await import("@temporalio/client");
  const connection = await Connection.connect({ address });
  try {
    for (let count = 0; count === 0;) {
      const answer = await connection.workflowService.countWorkflowExecutions({ namespace, query });
      count = Number(answer.count);
    }
  } finally {
    await connection.close();
  }
}

/** As an administrator does it over the Parallels DevOps contract. */
export async function revoke({ stack }: World, catalogId: string): Promise<void> {
  const { url, session } = stack.client;
  const answer = await fetch(`${url}/api/v1/catalog/${catalogId}/1/arm64/revoke`, { method: "PATCH", headers: await session.headers() });
  if (!answer.ok) throw new Error(`${catalogId} was not revoked: ${answer.status} ${await answer.text()}`);
}
