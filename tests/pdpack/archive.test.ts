/** Archives of the Parallels DevOps service: what that service wrote is read to the byte, and what it never writes is refused and leaves nothing. */
import { execFileSync } from "node:child_process";
import { existsSync, lstatSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { describe, expect, it, vi } from "vitest";
import { readManifest } from "../../images/pdpack/manifest.ts";
import { unpackArchive } from "../../images/pdpack/unpack.ts";
import { parseSeal, sealHolds } from "../../images/seal.ts";
import { parseTree } from "../../images/tree.ts";
import { verifyFolder } from "../../images/verify.ts";
import { fromSeed, random, workFolder } from "../images/samples.ts";
import { pax, sourceOf, tarOf, type TarPart } from "./tar.ts";
import { calm, config, fixture, sha256, truth, unpack } from "./unpacking.ts";

vi.setConfig({ testTimeout: 60_000 });

describe("what that service wrote", () => {
  it.each(["plain", "gzip"] as const)("is unpacked to the byte, sealed and verified: %s", async (kind) => {
    const { image, pack } = fixture(kind);
    // Three answers break off in their middle on the way: the range is asked for again.
    await using found = await unpack(pack, { md5: image.md5, told: image }, 3);
    expect(found).toMatchObject({ code: null, unpacked: { files: truth.files.length, logicalBytes: 168_530 } });
    for (const { path, size, sha256: hash, mode } of truth.files) {
      const at = join(found.paths.bundle, path);
      expect({ path, size: lstatSync(at).size, mode: `0o${(lstatSync(at).mode & 0o777).toString(8)}` }).toEqual({ path, size, mode });
      expect(sha256(readFileSync(at)), path).toBe(hash);
    }
    const tree = parseTree(readFileSync(found.paths.tree), found.unpacked?.digest ?? "");
    expect(await verifyFolder({ path: found.paths.bundle, tree, full: true, seal: null, signal: calm() })).toEqual([]);
    const seal = parseSeal(readFileSync(found.paths.seal, "utf8"));
    expect(seal && (await sealHolds(found.paths.bundle, seal))).toBe(true);
  });

  it("is one image whether it was compressed or not", async () => {
    await using plain = await unpack(fixture("plain").pack);
    await using gzip = await unpack(fixture("gzip").pack);
    expect(plain.unpacked?.digest).toBe(gzip.unpacked?.digest);
  });

  it("tells of itself in its manifest", () => {
    expect(fixture("gzip").image).toMatchObject({
      catalogId: "fix-sonoma",
      version: "1.0.0",
      architecture: "arm64",
      kind: "pvm",
      tags: ["fixture"],
      requiredRoles: [],
      md5: "88cbb312236fe5bdeeb8477583b03fd1",
      logicalBytes: 168_530,
      exact: true,
      packKey: "fix-sonoma/fix-sonoma-arm64-1.0.0.pdpack",
      tainted: null,
      revoked: null,
    });
  });
});

describe("a manifest", () => {
  const base = { catalog_id: "X", version: "1", architecture: "arm64" };
  const read = (more: object, key = "moved/x-arm64-1.meta") => readManifest(Buffer.from(JSON.stringify({ ...base, ...more })), key);

  it("counts in megabytes where nobody measured, and takes no mark of an upload in parts for an MD5", () => {
    const told = read({
      size: 300,
      compressed_checksum: "0a1b-12",
      pack_path: "any name.tgz",
      minimum_requirements: { cpu: 2, memory: 4096, disk: 0 },
    });
    expect(told).toMatchObject({
      ok: true,
      value: {
        catalogId: "x",
        logicalBytes: 300 * 1024 ** 2,
        exact: false,
        md5: null,
        packKey: "moved/any name.tgz",
        minimum: { vcpus: 2, memoryBytes: 4096 * 1024 ** 2, diskBytes: 0 },
      },
    });
  });

  it("keeps who tainted and revoked it, and when", () => {
    const marked = read({
      tainted: true,
      tainted_by: "ann",
      tainted_at: "2026-01-02T03:04:05Z",
      revoked: true,
      revoked_by: "bob",
      revoked_at: "",
    });
    expect(marked).toMatchObject({
      value: { tainted: { by: "ann", at: new Date("2026-01-02T03:04:05Z") }, revoked: { by: "bob", at: new Date(0) } },
    });
  });

  it.each([
    [{ architecture: "mips" }, "mips"],
    [{ catalog_id: "a/b" }, "catalog_id"],
    [{ catalog_id: 7 }, "catalog_id"],
    [{ pack_path: "../other.pdpack" }, "pack_path"],
    [{ size: -1 }, "size"],
  ])("that makes no sense is refused by its field: %o", (more, word) => {
    const refused = read(more);
    expect(refused).toMatchObject({ ok: false, fault: { code: "archive_invalid" } });
    expect(refused.ok ? "" : refused.fault.message).toContain(word);
  });

  it("that is no JSON is refused", () => {
    expect(readManifest(Buffer.from([0xff, 0xfe]), "x/x.meta")).toMatchObject({ ok: false, fault: { code: "archive_invalid" } });
  });
});

describe("archives of other makers", () => {
  it("come in with the bundle's own folder at their top, with links inside and long names", async () => {
    await using folder = await workFolder();
    const bundle = join(folder.path, "My Machine.pvm");
    mkdirSync(join(bundle, "deep".repeat(30), "below"), { recursive: true });
    writeFileSync(join(bundle, "config.pvs"), "<x/>");
    writeFileSync(join(bundle, "deep".repeat(30), "below", `${"n".repeat(150)} ü`), "content");
    execFileSync("ln", ["-s", "config.pvs", join(bundle, "link")]);
    for (const format of ["gnu", "pax", "ustar"]) {
      const names = format === "ustar" ? ["My Machine.pvm/config.pvs", "My Machine.pvm/link"] : ["My Machine.pvm"];
      const tar = execFileSync("tar", [`--format=${format}`, "-C", folder.path, "-czf", "-", ...names]);
      await using found = await unpack(tar);
      expect(found.code, `${format}: ${found.message}`).toBeNull();
      expect(readFileSync(join(found.paths.bundle, "link"), "utf8")).toBe("<x/>");
      if (format === "ustar") continue;
      expect(readFileSync(join(found.paths.bundle, "deep".repeat(30), "below", `${"n".repeat(150)} ü`), "utf8")).toBe("content");
    }
  });

  it("keep zeros as holes, whatever the archive says", async () => {
    const disk = Buffer.concat([fromSeed(1, 300_000), Buffer.alloc(24 << 20), fromSeed(2, 300_000)]);
    await using found = await unpack(gzipSync(tarOf([config, { name: "/disk", content: disk }]), { level: 1 }));
    const at = join(found.paths.bundle, "disk");
    expect(sha256(readFileSync(at))).toBe(sha256(disk));
    expect(lstatSync(at).blocks * 512).toBeLessThan(4 << 20);
  });

  it("may end without a trailer and without the last padding, but not within a file", async () => {
    for (const bytes of [1, 511, 512, 513, 70_000]) {
      const parts = [config, { name: "/a", content: fromSeed(bytes, bytes) }];
      const short = { trailer: false, padding: false };
      await using whole = await unpack(gzipSync(tarOf(parts, short)));
      expect(whole.code, `${bytes} bytes: ${whole.message}`).toBeNull();
      await using cut = await unpack(gzipSync(tarOf(parts, short).subarray(0, -1)));
      expect({ bytes, code: cut.code, left: cut.left }).toEqual({ bytes, code: "archive_corrupt", left: false });
    }
  });
});

const file = (name: string, more: Partial<TarPart> = {}): TarPart => ({ name, content: "x", ...more });
const hostile: [string, TarPart[]][] = [
  ["a path up", [config, file("/../out")]],
  ["a path up inside", [config, file("/a/../../out")]],
  ["a path up in a long name", [config, pax({ path: "/../../out" }), file("short")]],
  ["a path with a NUL", [config, pax({ path: "/a\0b" }), file("short")]],
  ["a link out", [config, { name: "/l", flag: "2", linkname: "../../etc/passwd" }]],
  ["an absolute link", [config, { name: "/l", flag: "2", linkname: "/etc/passwd" }]],
  ["a file below a link", [config, { name: "/l", flag: "2", linkname: "config.pvs" }, file("/l/out")]],
  ["a file in place of a link", [config, { name: "/l", flag: "2", linkname: "config.pvs" }, file("/l")]],
  [
    "a link that leaves the machine's own folder",
    [
      { ...config, name: "X.pvm/config.pvs" },
      { name: "X.pvm/l", flag: "2", linkname: "../other" },
    ],
  ],
  ["a hard link", [config, { name: "/h", flag: "1", linkname: "config.pvs" }]],
  ["a device", [config, { name: "/d", flag: "3" }]],
  ["a block device", [config, { name: "/d", flag: "4" }]],
  ["a pipe", [config, { name: "/p", flag: "6" }]],
  ["an unknown kind", [config, { name: "/v", flag: "V" }]],
  ["holes as GNU tar writes them", [config, pax({ "GNU.sparse.major": "1", "GNU.sparse.minor": "0" }), file("/s")]],
  ["names that differ in case", [config, file("/Disk"), file("/disk")]],
  ["names that differ in composition", [config, file("/\u00e9"), file("/e\u0301")]],
  ["folders that differ in case", [config, file("/Disk/a"), file("/disk/b")]],
  ["a file twice", [config, file("/a"), file("/a")]],
  ["a file as a folder", [config, file("/a"), file("/a/b")]],
  ["a name of 300 bytes", [config, pax({ path: `/${"n".repeat(300)}` }), file("short")]],
  ["no machine at all", [file("/readme.txt")]],
];

describe("what is refused and leaves nothing", () => {
  it.each(hostile)("%s", async (_name, parts) => {
    for (const bytes of [tarOf(parts), gzipSync(tarOf(parts, { trailer: false }))]) {
      await using found = await unpack(bytes);
      expect({ code: found.code, left: found.left, message: found.message }).toMatchObject({ code: "archive_refused", left: false });
      expect(readdirSync(join(found.paths.folder, ".."))).toEqual([]);
    }
  });

  it.each([
    ["a wrong MD5", { md5: "0".repeat(32) }, "MD5"],
    ["fewer bytes than its manifest tells", { told: { logicalBytes: 200_000, exact: true } }, "168530"],
  ])("%s", async (_name, ask, word) => {
    await using found = await unpack(fixture("gzip").pack, ask);
    expect(found).toMatchObject({ code: "archive_corrupt", left: false });
    expect(found.message).toContain(word);
  });

  it("more bytes than its manifest tells, before they are written", async () => {
    await using found = await unpack(fixture("gzip").pack, { told: { logicalBytes: 100_000, exact: true } });
    expect(found).toMatchObject({ code: "archive_refused", left: false });
  });

  it("a header that tells more than there is", async () => {
    await using found = await unpack(tarOf([config, file("/big", { size: 8 ** 11 - 1 })]));
    expect(found.code).toMatch(/archive_(corrupt|refused)/);
    expect(found.left).toBe(false);
  });

  it("a bomb: what unpacks to hundreds of times its size, zeros not counted", async () => {
    // A gzip may have several members, so a large one is made of a small piece.
    const piece = gzipSync(Buffer.alloc(64 << 20, 7));
    const head = gzipSync(tarOf([config, { name: "/bomb", size: 4 * (64 << 20) }], { trailer: false }));
    const told = { logicalBytes: 4 * 1024 ** 3, exact: false };
    await using found = await unpack(Buffer.concat([head, piece, piece, piece, piece]), { told });
    expect(found).toMatchObject({ code: "archive_refused", left: false });
    expect(found.message).toContain("times its size");
  });

  it("more entries than any machine has", async () => {
    const parts = Array.from({ length: 20_001 }, (_, n): TarPart => ({ name: `f/${n}`, flag: "5" }));
    await using found = await unpack(gzipSync(tarOf([config, ...parts]), { level: 1 }));
    expect(found).toMatchObject({ code: "archive_refused", left: false });
  });

  const seed = Number(process.env["DROVER_TEST_SEED"] ?? Math.floor(Math.random() * 1e9));
  it(`an archive that is cut anywhere, or has a wrong byte, and has an MD5 (DROVER_TEST_SEED=${seed})`, async () => {
    const { image, pack } = fixture("gzip");
    const next = random(seed);
    const before = await unpack(pack, { md5: image.md5, told: image });
    expect(before.code).toBeNull();
    await before[Symbol.asyncDispose]();
    for (let turn = 0; turn < 40; turn++) {
      const at = Math.floor(next() * pack.byteLength);
      const wrong = Buffer.from(pack);
      wrong[at] = (wrong[at] ?? 0) ^ (1 << Math.floor(next() * 8));
      for (const bytes of [pack.subarray(0, at), wrong]) {
        await using found = await unpack(Buffer.from(bytes), { md5: image.md5, told: image });
        expect({ at, bytes: bytes.byteLength, left: found.left, whole: found.unpacked }).toEqual({
          at,
          bytes: bytes.byteLength,
          left: false,
          whole: null,
        });
      }
    }
  });

  it("a plain tar that is cut between files, where its manifest tells its size", async () => {
    const { image, pack } = fixture("plain");
    await using found = await unpack(pack.subarray(0, 12_800), { told: image });
    expect(found).toMatchObject({ code: "archive_corrupt", left: false });
  });

  it("an unpacking that was cancelled", async () => {
    const { pack } = fixture("plain");
    const abort = new AbortController();
    await using folder = await workFolder();
    const targetPath = join(folder.path, "incoming");
    const unpacking = unpackArchive({
      source: sourceOf(pack),
      md5: null,
      told: { logicalBytes: 0, exact: false },
      targetPath,
      signal: abort.signal,
      onProgress: () => abort.abort(),
    });
    await expect(unpacking).rejects.toThrow(/abort/i);
    expect(existsSync(targetPath)).toBe(false);
  });
});
