/**
 * The master key: 32 bytes that wrap every other key, from a variable or from a file beside the data.
 *
 * The one idea: a source can be asked whether it has a key without making one, so a hub whose key was lost says so instead of quietly
 * starting over with a new key that opens nothing.
 */
import { randomBytes } from "node:crypto";
import { link, mkdir, open, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { FaultError } from "../domain/errors.ts";
import { keyBytes } from "./cipher.ts";

export interface MasterKeySource {
  /** Where the key comes from, for messages. */
  readonly name: string;
  /** The key, or `null` when there is none yet. */
  read(): Promise<Uint8Array | null>;
  /** Makes a key where there is none, and answers the one that is there then. */
  make(): Promise<Uint8Array>;
}

export interface MasterKeyOptions {
  /** The value of DROVER_MASTER_KEY, if it is set: base64 or hexadecimal. */
  readonly given: string | undefined;
  /** DROVER_HOME. */
  readonly home: string;
}

export function masterKeySource({ given, home }: MasterKeyOptions): MasterKeySource {
  if (given !== undefined) {
    const key = parseKey(given, "DROVER_MASTER_KEY");
    return { name: "DROVER_MASTER_KEY", read: async () => key, make: async () => key };
  }
  const path = join(home, "master.key");
  return { name: path, read: () => readKeyFile(path), make: () => makeKeyFile(home, path) };
}

function parseKey(text: string, from: string): Uint8Array {
  const word = text.trim();
  const key = /^[0-9a-fA-F]{64}$/.test(word) ? Buffer.from(word, "hex") : Buffer.from(word, "base64");
  if (key.byteLength === keyBytes) return key;
  throw invalid(`The master key in ${from} must be ${keyBytes} bytes in base64 or hexadecimal.`);
}

async function readKeyFile(path: string): Promise<Uint8Array | null> {
  const text = await readFile(path, "utf8").catch((error: unknown) => {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw invalid(`The master key in ${path} cannot be read.`, error);
  });
  if (text === null) return null;
  const { mode } = await stat(path);
  if ((mode & 0o077) !== 0) throw invalid(`The master key in ${path} can be read by others: set its mode to 0600.`);
  return parseKey(text, path);
}

/** Written aside and linked: several processes may start at once, and the first link is everybody's key. */
async function makeKeyFile(home: string, path: string): Promise<Uint8Array> {
  await mkdir(home, { recursive: true });
  const aside = `${path}.${randomBytes(6).toString("hex")}`;
  const file = await open(aside, "wx", 0o600);
  try {
    await file.writeFile(`${randomBytes(keyBytes).toString("base64")}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  try {
    await link(aside, path);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
  } finally {
    await rm(aside, { force: true });
  }
  const key = await readKeyFile(path);
  if (key) return key;
  throw invalid(`The master key in ${path} vanished while it was made.`);
}

const invalid = (message: string, cause?: unknown) => new FaultError({ code: "configuration_invalid", message }, { cause });
