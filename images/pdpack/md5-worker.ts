/** The thread that computes an archive's MD5, which is slower than all else of it and has no parts that could be done at once. */
import { createHash } from "node:crypto";
import { parentPort } from "node:worker_threads";

/** Parts in their order; null asks for the end. */
export type Md5Question = Uint8Array<SharedArrayBuffer> | null;
/** The part that is done with, or the MD5 (hex). */
export type Md5Answer = Uint8Array<SharedArrayBuffer> | string;

const hash = createHash("md5");

parentPort?.on("message", (part: Md5Question) => {
  if (part !== null) hash.update(part);
  parentPort?.postMessage((part ?? hash.digest("hex")) satisfies Md5Answer);
});
