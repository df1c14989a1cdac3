/** A collection in a process of its own, to be killed: it says each thing that it asks of the store, and does what its one argument tells. */
import { appendFileSync } from "node:fs";
import { condemnCared, repackCared, sweepCared } from "../../activities/hub/collect.ts";
import { caredStore } from "../../activities/hub/store-care.ts";
import { openDatabase } from "../../db/connect.ts";
import { folderStore } from "../../stores/folder.ts";
import type { ObjectStore } from "../../stores/object-store.ts";
import type { Order } from "./victims.ts";

const { databaseUrl, storeId, storePath, workFolder, logPath } = JSON.parse(process.argv[2] ?? "{}") as Order;
const { db, close } = openDatabase(databaseUrl);
const bare = folderStore(storePath);
const log = (line: string) => appendFileSync(logPath, `${line}\n`);
const said = <T>(answer: T): T => {
  process.stdout.write(".");
  return answer;
};
const store: ObjectStore = {
  ...bare,
  read: async (key, range, signal) => said(await bare.read(key, range, signal)),
  write: async (key, body, sha256, signal) => {
    log(`sent ${key} ${body.byteLength}`);
    const outcome = await bare.write(key, body, sha256, signal);
    log(`there ${key}`);
    return said(outcome);
  },
  remove: async (key) => {
    log(`gone ${key}`);
    return said(await bare.remove(key));
  },
};
const signal = new AbortController().signal;
const cared = caredStore({ db, workFolder, graceMs: 0 }, { operationId: crypto.randomUUID(), storeId, store, step: "collect", signal });
const repacked = await repackCared(db, cared);
const condemned = await condemnCared(db, cared);
const swept = await sweepCared(db, cared);
process.stdout.write(`\n${JSON.stringify({ ...repacked, ...condemned, ...swept })}\n`);
await close();
