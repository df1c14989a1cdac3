/**
 * A master key as a value: how people write it, what they call it, and what a place for keys offers.
 *
 * The one idea: a source offers every key that it has, the one in force first, and the hub's row tells which of them is right. So a lost key is told
 * instead of replaced, and a rotation that was killed half-way leaves a source that still holds the right one, whichever that is.
 */
import { createHash, randomBytes } from "node:crypto";
import { FaultError } from "../domain/errors.ts";
import { keyBytes } from "./cipher.ts";

export interface MasterKey {
  readonly bytes: Uint8Array;
  /** Where it comes from, for messages. */
  readonly from: string;
}

export interface MasterKeySource {
  /** Where the key in force comes from, for messages. */
  readonly name: string;
  /** The key in force first, then what rotations left beside it; nothing when there is none yet. */
  read(): Promise<readonly MasterKey[]>;
  /** Makes a key where there is none, and answers the one that is there then. */
  make(): Promise<MasterKey>;
  /** The key that a rotation changes to, kept safe before anything is wrapped with it. */
  next(): Promise<MasterKey>;
  /** Makes that key the one in force, once everything is wrapped with it; the one before stays, for backups of its time. */
  settle(key: MasterKey): Promise<void>;
  /** A key to begin anew with, where the one before is lost: made here, or the one that was given. */
  afresh(): Promise<MasterKey>;
  /** Makes a key that comes from elsewhere the one in force. */
  take(bytes: Uint8Array): Promise<MasterKey>;
}

export const newMasterKey = (): Uint8Array => randomBytes(keyBytes);
export const wordOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64");

export function keyOf(text: string, from: string): MasterKey {
  const word = text.trim();
  const bytes = /^[0-9a-fA-F]{64}$/.test(word) ? Buffer.from(word, "hex") : Buffer.from(word, "base64");
  if (bytes.byteLength === keyBytes) return { bytes, from };
  throw invalidKey(`The master key in ${from} must be ${keyBytes} bytes in base64 or hexadecimal.`);
}

/** What people call a master key by. Nobody finds 256 random bits from a part of their hash. */
export const idOfKey = (bytes: Uint8Array): string =>
  createHash("sha256").update("drover master key\0").update(bytes).digest("hex").slice(0, 12);

export const sameKey = (a: Uint8Array, b: Uint8Array): boolean => Buffer.from(a).equals(b);

export const invalidKey = (message: string, cause?: unknown) => new FaultError({ code: "configuration_invalid", message }, { cause });
