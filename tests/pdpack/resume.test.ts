/** An unpacking that was broken off does not fetch again what it had fetched; and what lies there is believed only as far as it can be checked. */
import { randomBytes } from "node:crypto";
import { closeSync, openSync, readdirSync, statSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as after } from "node:timers/promises";
import { expect, it, vi } from "vitest";
import { FaultError } from "../../domain/errors.ts";
import { imagePaths } from "../../images/layout.ts";
import { rangeBytes, type ArchiveSource } from "../../images/pdpack/read-ahead.ts";
import { unpackArchive } from "../../images/pdpack/unpack.ts";
import { workFolder } from "../images/samples.ts";
import { md5Of, tarOf } from "./tar.ts";
import { calm, config } from "./unpacking.ts";

vi.setConfig({ testTimeout: 60_000 });

const mebibyte = 1024 * 1024;
/** Per range: what comes faster is not kept. */
const lineMs = 100;

const holeBytes = 10 * mebibyte;

/** An archive of some seventy megabytes, with a hole in its disk that is as long as a range that is fetched. */
function archive(): { packed: Buffer; logicalBytes: number } {
  const data = Buffer.alloc(30 * mebibyte, randomBytes(99_991));
  const disk = Buffer.concat([data, Buffer.alloc(holeBytes), data, Buffer.from("the end")]);
  const packed = tarOf([config, { name: "/disk.hdd/disk.hds", content: disk }]);
  return { packed, logicalBytes: disk.byteLength + String(config.content).length };
}
const { packed, logicalBytes } = archive();

/** Gives so many bytes, as slowly as a line does, and then nothing more; counts what it gave. */
function store(givenBytes = Infinity) {
  const told = { bytes: 0 };
  const away = new FaultError({ code: "store_unavailable", message: "The store is away." });
  const read: ArchiveSource["read"] = async ({ offsetBytes, lengthBytes }, signal) => {
    signal.throwIfAborted();
    if (told.bytes + lengthBytes > givenBytes) throw away;
    told.bytes += lengthBytes;
    await after(lineMs);
    return new Blob([Uint8Array.from(packed.subarray(offsetBytes, offsetBytes + lengthBytes))]).stream();
  };
  return { told, source: { name: "x/x-arm64-1.pdpack", bytes: packed.byteLength, read } };
}

it("goes on after a break with what was fetched, whatever became of it since, and leaves nothing of that beside the image", async () => {
  const md5 = md5Of(packed);
  await using folder = await workFolder();
  const paths = imagePaths(join(folder.path, "incoming"));
  const unpack = (source: ArchiveSource) =>
    unpackArchive({ source, md5, told: { logicalBytes, exact: true }, targetPath: paths.folder, signal: calm() });

  const first = store(5 * rangeBytes);
  await expect(unpack(first.source)).rejects.toMatchObject({ fault: { code: "store_unavailable" } });
  expect(readdirSync(paths.folder).toSorted()).toEqual(["archive", "archive.ranges"]);
  // The last of the five is the hole, which takes no room here either. One range is damaged, one note is cut.
  const spoiled = join(paths.folder, "archive");
  expect(statSync(spoiled).size).toBe(4 * rangeBytes);
  const fd = openSync(spoiled, "r+");
  writeSync(fd, Buffer.from("damage"), 0, 6, rangeBytes + 5);
  closeSync(fd);
  writeFileSync(join(paths.folder, "archive.ranges"), Buffer.alloc(5), { flag: "a" });

  const second = store();
  const whole = await unpack(second.source);
  expect(first.told.bytes + second.told.bytes).toBe(packed.byteLength + rangeBytes);
  expect(readdirSync(paths.folder).toSorted()).toEqual(["bundle", "seal.json", "tree"]);
  expect(whole).toMatchObject({ logicalBytes, files: 2, dataBytes: logicalBytes - holeBytes });

  await using again = await workFolder();
  const straight = await unpackArchive({
    source: store().source,
    md5: null,
    told: { logicalBytes: 0, exact: false },
    targetPath: join(again.path, "incoming"),
    signal: calm(),
  });
  expect(straight.digest).toBe(whole.digest);
});

it("leaves nothing of an archive that is wrong, nor where the disk has no room for both", async () => {
  await using folder = await workFolder();
  const targetPath = join(folder.path, "incoming");
  const ask = { md5: "0".repeat(32), told: { logicalBytes, exact: true }, targetPath, signal: calm() };
  await expect(unpackArchive({ ...ask, source: store().source })).rejects.toMatchObject({ fault: { code: "archive_corrupt" } });
  expect(readdirSync(folder.path)).toEqual([]);
  const tooMuch = { ...ask, told: { logicalBytes: 2 ** 50, exact: true } };
  const broken = store(5 * rangeBytes).source;
  await expect(unpackArchive({ ...tooMuch, source: broken })).rejects.toMatchObject({ fault: { code: "store_unavailable" } });
  expect(readdirSync(folder.path)).toEqual([]);
});
