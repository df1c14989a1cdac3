/** What the tests of archives share: the archives that that service wrote, and one unpacking with what is left of it. */
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { FaultError } from "../../domain/errors.ts";
import { imagePaths } from "../../images/layout.ts";
import { readManifest } from "../../images/pdpack/manifest.ts";
import { unpackArchive, type UnpackAsk } from "../../images/pdpack/unpack.ts";
import { workFolder } from "../images/samples.ts";
import { sourceOf, type TarPart } from "./tar.ts";

const fixtures = new URL("./fixtures/", import.meta.url);
export const truth = JSON.parse(readFileSync(new URL("TRUTH.json", fixtures), "utf8")) as {
  files: { path: string; size: number; sha256: string; mode: string }[];
};
export const config: TarPart = { name: "/config.pvs", content: "<ParallelsVirtualMachine/>" };
export const calm = () => new AbortController().signal;
export const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/** Unpacks an archive beside nothing else; tells what came of it and what is left. */
export async function unpack(bytes: Buffer, ask: Partial<UnpackAsk> = {}, broken = 0) {
  const folder = await workFolder();
  const targetPath = join(folder.path, "incoming");
  const told = { logicalBytes: 0, exact: false };
  const outcome = await unpackArchive({ source: sourceOf(bytes, { broken }), md5: null, told, targetPath, signal: calm(), ...ask }).then(
    (unpacked) => ({ unpacked, code: null, message: "" }),
    (error: unknown) => {
      if (!(error instanceof FaultError)) throw error;
      return { unpacked: null, code: error.fault.code, message: error.fault.message };
    },
  );
  return {
    ...outcome,
    paths: imagePaths(targetPath),
    left: existsSync(targetPath),
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
}

export function fixture(kind: "plain" | "gzip") {
  const base = new URL(`${kind}/fix-sonoma/fix-sonoma-arm64-1.0.0`, fixtures).pathname;
  const read = readManifest(readFileSync(`${base}.meta`), "fix-sonoma/fix-sonoma-arm64-1.0.0.meta");
  if (!read.ok) throw new FaultError(read.fault);
  return { image: read.value, pack: readFileSync(`${base}.pdpack`), meta: JSON.parse(readFileSync(`${base}.meta`, "utf8")) as object };
}
