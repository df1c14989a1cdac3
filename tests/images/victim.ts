/**
 * A push or a pull in a process of its own, to be killed: it says each step, logs what it sends, and does what its one argument tells.
 */
import { appendFileSync } from "node:fs";
import { ownPeakBytes } from "../../bench/peak.ts";
import { pullTree } from "../../images/pull.ts";
import { pushBundle } from "../../images/push.ts";
import { folderStore } from "../../stores/folder.ts";
import type { ObjectStore } from "../../stores/object-store.ts";
import { placeStore, type Order } from "./victims.ts";

const order = JSON.parse(process.argv[2] ?? "{}") as Order;
const signal = new AbortController().signal;

/** The store, which writes down what was sent, what was acknowledged and what was read. */
function logged(): ObjectStore {
  const store = order.s3 ? placeStore(order.s3) : folderStore(order.store);
  return {
    ...store,
    read: async (key, range, within) => {
      if (range) appendFileSync(order.log, `read ${key} ${range.lengthBytes}\n`);
      return store.read(key, range, within);
    },
    write: async (key, body, sha256, within) => {
      appendFileSync(order.log, `sent ${key} ${body.byteLength}\n`);
      const outcome = await store.write(key, body, sha256, within);
      appendFileSync(order.log, `${outcome} ${key}\n`);
      return outcome;
    },
  };
}

const onProgress = () => process.stdout.write(".");
const shared = { store: logged(), signal, onProgress, ...(order.parallel === undefined ? {} : { parallel: order.parallel }) };
const began = performance.now();
const result =
  order.what === "push"
    ? await pushBundle({ ...shared, bundlePath: order.bundle, bases: [], journalPath: order.journal, generation: 1 })
    : await pullTree({ ...shared, digest: order.digest, generation: 1, targetPath: order.target, seeds: order.seeds });
process.stdout.write(`\n${JSON.stringify({ ...result, tookMs: performance.now() - began, peakBytes: ownPeakBytes() })}\n`);
