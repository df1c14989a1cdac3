/**
 * The stack that crash tests work on: several hosts, servers of its own that may be killed too, and what a test must know to judge it.
 *
 * The one idea: the test keeps its own books (which bundle is behind which image, which machines live), and compares them with what is there.
 */
import { join } from "node:path";
import postgres from "postgres";
import { pathOf } from "../../cli/client.ts";
import { Host } from "../../cli/wire.ts";
import { openDatabase, type OpenDatabase } from "../../db/connect.ts";
import { makeSampleBundle } from "../../parallels/sample/make.ts";
import { folderStore } from "../../stores/folder.ts";
import type { ObjectStore } from "../../stores/object-store.ts";
import { s3Store } from "../../stores/s3.ts";
import { machineFolderOf } from "../e2e/faults.ts";
import { openStack, type TestStack } from "../e2e/stack.ts";
import { startS3Server } from "../stores/s3-server.ts";
import { countPuts, type Puts } from "./puts.ts";

export interface FleetHost {
  readonly name: string;
  readonly id: string;
}
export interface LivingMachine {
  readonly name: string;
  readonly catalogId: string;
  readonly hostId: string;
}
export interface Fleet {
  readonly stack: TestStack;
  readonly hosts: readonly FleetHost[];
  /** Rows as they are, by a connection that comes back by itself. */
  readonly sql: postgres.Sql;
  readonly database: OpenDatabase;
  readonly store: ObjectStore;
  /** Null where the gateway carries the bytes. */
  readonly puts: Puts | null;
  /** The bundle behind each image that was asked for. */
  readonly sources: Map<string, string>;
  /** Machines that must be there, by id. */
  readonly living: Map<string, LivingMachine>;
  close(): Promise<void>;
}
export interface FleetOptions {
  readonly hosts: number;
  readonly store: "folder" | "S3";
  /** Servers that were there before: how the stack reaches them, and how the test reaches the database. */
  readonly servers?: { readonly variables: Readonly<Record<string, string>>; readonly databaseUrl: string };
  /** Puts something between everybody and the S3 server; answers its address. */
  readonly before?: (endpoint: string) => Promise<string>;
}

const mebibyte = 1024 ** 2;
/** 18 MiB as packs: several of them, so that a kill can fall between. */
const contentBytes = 36 * mebibyte;

export async function openFleet({ hosts, store, servers, before = async (endpoint) => endpoint }: FleetOptions): Promise<Fleet> {
  const opened = store === "S3" ? await openS3(before) : null;
  // Room for every machine of a round beside those that it retires.
  const variables = { DROVER_HOSTS: String(hosts), DROVER_SIMULATED_CPUS: "64", ...servers?.variables, ...opened?.variables };
  const stack = await openStack(variables).catch(async (error: unknown) => {
    await opened?.close();
    throw error;
  });
  const url = servers?.databaseUrl ?? stack.env["DATABASE_URL"] ?? "";
  const database = openDatabase(url, { connections: 2 });
  // A statement that was cut off by the database's death must not wait for ever.
  const sql = postgres(url, { max: 3, connect_timeout: 5, onnotice: () => {} });
  const found = await Promise.all(stack.hosts.map(({ name }) => stack.client.get(pathOf("hosts", name), Host)));
  return {
    stack,
    sql,
    database,
    hosts: found.map(({ name, id }) => ({ name, id })),
    store: opened?.store ?? folderStore(join(stack.home, "store")),
    puts: opened?.puts ?? null,
    sources: new Map(),
    living: new Map(),
    close: async () => {
      await Promise.all([sql.end({ timeout: 2 }), database.close()]);
      await stack.close();
      await opened?.close();
    },
  };
}

async function openS3(before: (endpoint: string) => Promise<string>) {
  const server = await startS3Server();
  const puts = await countPuts(server.endpoint);
  const bucket = await server.makeBucket();
  const { accessKey, secretKey } = server;
  const prefix = "images/";
  return {
    puts,
    store: s3Store({
      bucket,
      prefix,
      region: "us-east-1",
      endpoint: server.endpoint,
      credentials: { accessKeyId: accessKey, secretAccessKey: secretKey },
    }),
    variables: {
      DROVER_STORE: `s3://${bucket}/${prefix}?endpoint=${encodeURIComponent(await before(puts.endpoint))}`,
      DROVER_STORE_ACCESS_KEY: accessKey,
      DROVER_STORE_SECRET_KEY: secretKey,
    },
    close: async () => {
      await puts.stop();
      await server.stop();
    },
  };
}

/** Where bundles to push lie: below the host's folder of machines, which requests may name, and beside its machines. */
export const sourcesOf = (stack: TestStack, host: string): string => join(machineFolderOf(stack, host), "sources");

/** A bundle that no other image shares a byte with: its content follows from its name. */
export async function makeSource(fleet: Fleet, host: FleetHost, catalogId: string): Promise<void> {
  const { bundlePath } = await makeSampleBundle({
    folder: sourcesOf(fleet.stack, host.name),
    name: catalogId,
    bytes: 2 * contentBytes,
    contentBytes,
    path: "",
    content: "pattern",
  });
  fleet.sources.set(catalogId, bundlePath);
}
