/**
 * The MD5 of an archive, computed beside what unpacks it.
 *
 * The one idea: a large archive is hashed by a thread of its own, from a few places in memory that both threads see. A place is filled again only after the thread
 * said that it is done with it, so memory stays bounded, and whoever gave a part may do with it what they like.
 */
import { createHash } from "node:crypto";
import { Worker } from "node:worker_threads";
import type { Md5Answer, Md5Question } from "./md5-worker.ts";

export interface Md5 {
  update(part: Uint8Array): Promise<void>;
  digest(): Promise<string>;
  close(): Promise<void>;
}

/** Below it a thread costs more than it saves. */
const threadFromBytes = 32 * 1024 * 1024;
/** One in work, one that waits, one that fills. */
const places = 3;

export const openMd5 = (archiveBytes: number): Md5 => (archiveBytes < threadFromBytes ? here() : inThread());

function here(): Md5 {
  const hash = createHash("md5");
  return { update: async (part) => void hash.update(part), digest: async () => hash.digest("hex"), close: async () => undefined };
}

function inThread(): Md5 {
  // The same file in both forms of the program: run from its sources, and built ahead.
  const file = import.meta.url.endsWith(".ts") ? "./md5-worker.ts" : "./md5-worker.js";
  const worker = new Worker(new URL(file, import.meta.url), { execArgv: [], stderr: false });
  const free: Uint8Array<SharedArrayBuffer>[] = [];
  let made = 0;
  let came = Promise.withResolvers<void>();
  const digest = Promise.withResolvers<string>();
  digest.promise.catch(() => undefined); // Told to whoever waits for it.
  worker.on("message", (answer: Md5Answer) => {
    if (typeof answer === "string") return digest.resolve(answer);
    free.push(new Uint8Array(answer.buffer));
    came.resolve();
    came = Promise.withResolvers<void>();
  });
  worker.on("error", (error) => {
    digest.reject(error);
    came.reject(error);
    came.promise.catch(() => undefined);
  });
  const place = async (bytes: number): Promise<Uint8Array<SharedArrayBuffer>> => {
    while (free.length === 0 && made >= places) await came.promise;
    const used = free.pop();
    if (used && used.byteLength >= bytes) return used;
    if (!used) made += 1;
    return new Uint8Array(new SharedArrayBuffer(bytes));
  };
  const ask = (question: Md5Question) => worker.postMessage(question);
  return {
    update: async (part) => {
      const shared = (await place(part.byteLength)).subarray(0, part.byteLength);
      shared.set(part);
      ask(shared);
    },
    digest: () => {
      ask(null);
      return digest.promise;
    },
    close: async () => void (await worker.terminate()),
  };
}
