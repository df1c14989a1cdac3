/** The way back: images of ours as archives that the Parallels DevOps service reads, held against what it writes itself. */
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { describe, expect, it, vi } from "vitest";
import { readManifest, writeManifest } from "../../images/pdpack/manifest.ts";
import { archiveBytes } from "../../images/pdpack/pack.ts";
import { storedFiles } from "../../images/pdpack/stored-files.ts";
import { pushBundle } from "../../images/push.ts";
import { readImage } from "../../images/stored.ts";
import { parseTree } from "../../images/tree.ts";
import { memoryStore } from "../../stores/memory.ts";
import { workFolder } from "../images/samples.ts";
import { md5Of } from "./tar.ts";
import { calm, fixture, sha256, truth, unpack } from "./unpacking.ts";

vi.setConfig({ testTimeout: 60_000 });

describe("the way back", () => {
  /** Pushes an unpacked bundle, and writes what was pushed as an archive. */
  async function packed(bundlePath: string, folder: string, compress: boolean) {
    const store = memoryStore();
    const pushed = await pushBundle({ bundlePath, store, bases: [], journalPath: join(folder, "journal"), generation: 1, signal: calm() });
    const files = storedFiles(store, await readImage(store, pushed, calm()), calm());
    return { pushed, bytes: Buffer.concat(await Array.fromAsync(archiveBytes(files, compress))), files };
  }

  it.each([true, false])("gives the same tree again, sizes and MD5 as the manifest tells (compressed: %s)", async (compress) => {
    await using folder = await workFolder();
    await using first = await unpack(fixture("gzip").pack);
    const { pushed, bytes } = await packed(first.paths.bundle, folder.path, compress);
    expect(pushed.digest).toBe(first.unpacked?.digest);
    const { image, meta } = fixture("gzip");
    const contents = parseTree(readFileSync(first.paths.tree), pushed.digest).entries.flatMap((entry) =>
      entry.kind === "link" || entry.path === "" ? [] : [{ ...entry, kind: entry.kind, bytes: entry.kind === "file" ? entry.bytes : 0 }],
    );
    const about = { id: "0".repeat(64), compressed: compress, createdAt: new Date(1), writtenAt: new Date(2), contents };
    const manifest = writeManifest(image, { ...about, packBytes: bytes.byteLength, md5: md5Of(bytes) });
    const written = readManifest(manifest, "fix-sonoma/fix-sonoma-arm64-1.0.0.meta");
    expect(written).toMatchObject({ ok: true, value: { logicalBytes: 168_530, exact: true, md5: md5Of(bytes), packKey: image.packKey } });
    // Every word that that service writes is there, in its order, and of its kind.
    const ours = JSON.parse(manifest.toString()) as Record<string, unknown>;
    const theirs: Record<string, unknown> = { ...meta };
    if (!compress) delete theirs["compress_level"];
    expect(Object.keys(ours)).toEqual(Object.keys(theirs));
    for (const [word, value] of Object.entries(theirs)) expect({ word, kind: typeof ours[word] }).toEqual({ word, kind: typeof value });
    const named = (list: unknown) =>
      (list as { path: string; name: string; size: number; is_dir: boolean }[])
        .map((item) => [item.path, item.name, item.size, item.is_dir].join(" "))
        .toSorted();
    expect(named(ours["virtual_machine_contents"])).toEqual(named(theirs["virtual_machine_contents"]));
    await using again = await unpack(bytes, { md5: md5Of(bytes), told: { logicalBytes: 168_530, exact: true } });
    expect(again.unpacked?.digest, again.message).toBe(pushed.digest);
  });

  it("writes the same headers as that service, name by name", async () => {
    await using folder = await workFolder();
    await using first = await unpack(fixture("plain").pack);
    const { bytes } = await packed(first.paths.bundle, folder.path, false);
    const theirs = headersOf(fixture("plain").pack);
    expect(headersOf(bytes).toSorted()).toEqual(theirs.toSorted());
    // The whole is as long as theirs: the same blocks, the same trailer.
    expect(bytes.byteLength).toBe(fixture("plain").pack.byteLength);
  });

  it("is read by the system's own tar", async () => {
    await using folder = await workFolder();
    await using first = await unpack(fixture("gzip").pack);
    const { bytes } = await packed(first.paths.bundle, folder.path, true);
    const out = join(folder.path, "out");
    mkdirSync(out);
    execFileSync("tar", ["-xzf", "-", "-C", out], { input: bytes, stdio: ["pipe", "pipe", "ignore"] });
    for (const { path, sha256: hash } of truth.files) expect(sha256(readFileSync(join(out, path))), path).toBe(hash);
    expect(
      gunzipSync(bytes)
        .subarray(-1024)
        .every((byte) => byte === 0),
    ).toBe(true);
  });
});

/** Kind, size, mode, owner and time of each header, with its name or the long name that was told before it. */
function headersOf(tar: Buffer): string[] {
  const found: string[] = [];
  let told: string | null = null;
  for (let at = 0; at + 512 <= tar.byteLength && tar[at] !== 0;) {
    const text = (from: number, length: number) =>
      tar
        .toString("utf8", at + from, at + from + length)
        .replace(/\0.*$/s, "")
        .trim();
    const bytes = Number.parseInt(text(124, 12), 8);
    const flag = text(156, 1);
    const numbers = [text(100, 8), text(108, 8), text(116, 8), text(136, 12)].map((word) => Number.parseInt(word, 8));
    const name = told ?? text(0, 100);
    told = flag === "x" ? tar.toString("utf8", at + 512, at + 512 + bytes).trim() : null;
    if (told === null) found.push([flag, name, bytes, ...numbers].join(" "));
    at += 512 + Math.ceil(bytes / 512) * 512;
  }
  return found;
}
