/**
 * What every store adapter says when it fails, written once.
 *
 * The one idea: the words and the code of a fault belong to the port, so a caller cannot tell by its faults which provider it talks to.
 */
import { FaultError } from "../domain/errors.ts";

/** What a foreign error may tell on: its own carries requests, with signatures and tokens in their headers and addresses. */
export function plainCause(error: Error, ...words: readonly unknown[]): Error {
  const cause = new Error([error.name, ...words].filter((word) => word !== undefined).join(" "));
  const frames = (error.stack ?? "").split("\n").filter((line) => /^\s+at /.test(line));
  cause.stack = [`Error: ${cause.message}`, ...frames].join("\n");
  return cause;
}

export function objectMissing(key: string, cause?: unknown): FaultError {
  return new FaultError({ code: "store_object_missing", message: `The store has no object ${key}.`, subject: key }, { cause });
}

export function checksumRefused(key: string, cause?: unknown): FaultError {
  const message = `The bytes sent for ${key} do not have the SHA-256 they were announced with, so nothing was written.`;
  return new FaultError({ code: "content_corrupt", message, subject: key }, { cause });
}

/** `reason` is the store's own word, such as `InvalidAccessKeyId`: it tells a wrong key from a policy. */
export function storeDenied(what: string, reason?: string, cause?: unknown): FaultError {
  const message = `The store refuses access to ${what}${reason === undefined ? "" : `: ${reason}`}.`;
  return new FaultError({ code: "store_denied", message, subject: what }, { cause });
}

/** `retryAfterMs` is what the store itself asked for. */
export function storeUnavailable(what: string, reason: string, cause?: unknown, retryAfterMs?: number): FaultError {
  const details = retryAfterMs === undefined ? {} : { details: { retryAfterMs } };
  const message = `The store failed on ${what}: ${reason}.`;
  return new FaultError({ code: "store_unavailable", message, subject: what, ...details }, { cause });
}

export function storeCorrupt(key: string, what: string): FaultError {
  return new FaultError({ code: "content_corrupt", message: `The store's object ${key} ${what}.`, subject: key });
}

/** No range of ours begins beyond an object: it has lost its end. */
export const endsBefore = (key: string, offsetBytes: number): FaultError => storeCorrupt(key, `ends before its byte ${offsetBytes}`);
