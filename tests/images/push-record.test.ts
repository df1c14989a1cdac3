/** A file that nothing touched since the last push is not read again, and whatever could have touched it has it read. */
import { readFileSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { chunkBytes } from "../../images/format.ts";
import { pushBundle, type PushAsk } from "../../images/push.ts";
import { pushRecordPath, readPushRecord, writePushRecord } from "../../images/push-record.ts";
import { scanFolder } from "../../images/scan.ts";
import { encodeTree } from "../../images/tree.ts";
import { treeEntry } from "../../images/publish.ts";
import { memoryStore } from "../../stores/memory.ts";
import { makeDisk, random, workFolder } from "./samples.ts";

const seed = Number(process.env["DROVER_TEST_SEED"] ?? Math.floor(Math.random() * 1e9));
const diskBytes = 12 * chunkBytes;
const disk = (bundle: string) => join(bundle, "disk.hdd", "disk.hds");

async function world(path: string) {
  const bundle = join(path, "bundle");
  makeDisk(bundle, "recorded", diskBytes);
  await settled(bundle);
  const store = memoryStore();
  const recordPath = pushRecordPath(join(path, "records"), bundle);
  let turn = 0;
  const push = (ask: Partial<PushAsk> = {}) => {
    const common = { bundlePath: bundle, store, bases: [], generation: 1, signal: new AbortController().signal };
    return pushBundle({ ...common, journalPath: join(path, `journal-${++turn}`), recordPath, ...ask });
  };
  return { bundle, recordPath, push, first: await push() };
}

/** Until the bundle's last change is as old as a record asks. */
async function settled(bundle: string): Promise<void> {
  await expect.poll(() => Date.now() - statSync(disk(bundle)).ctimeMs, { interval: 20 }).toBeGreaterThan(150);
}

it("reads no file that nothing touched, and all of them when asked to verify", async () => {
  await using folder = await workFolder();
  const { push, first } = await world(folder.path);
  expect(first.unreadBytes).toBe(0);
  expect(await push({ bases: [first] })).toMatchObject({ digest: first.digest, unreadBytes: first.logicalBytes, sentBytes: 0 });
  expect(await push({ bases: [first], verify: true })).toMatchObject({ digest: first.digest, unreadBytes: 0, sentBytes: 0 });
});

it("reads a file that was changed within its size and whose time was set back", async () => {
  await using folder = await workFolder();
  const { bundle, push, first } = await world(folder.path);
  const { atimeMs, mtimeMs } = statSync(disk(bundle));
  const bytes = readFileSync(disk(bundle));
  bytes[5] = (bytes[5] ?? 0) ^ 1;
  writeFileSync(disk(bundle), bytes);
  utimesSync(disk(bundle), atimeMs / 1000, mtimeMs / 1000);
  const second = await push({ bases: [first] });
  expect(second).toMatchObject({ unreadBytes: first.logicalBytes - diskBytes, newChunks: 1 });
  expect(second.digest).not.toBe(first.digest);
});

it("reads and sends what no base holds, whatever the record knows", async () => {
  await using folder = await workFolder();
  const { push, first } = await world(folder.path);
  const other = memoryStore();
  expect(await push({ store: other })).toMatchObject({ digest: first.digest, unreadBytes: 0, newChunks: first.newChunks });
});

it("does not record a file that changed in the moment of the push", async () => {
  await using folder = await workFolder();
  const bundle = join(folder.path, "bundle");
  makeDisk(bundle, "young", chunkBytes);
  const { entries } = await scanFolder(bundle);
  const { bytes: treeBytes, digest } = encodeTree({ entries: entries.map((entry) => treeEntry(entry, undefined)) });
  const file = entries.find(({ kind }) => kind === "file");
  if (!file) throw new Error("The bundle has no file.");
  const changedAtMs = Number(file.mark.ctimeNs / 1_000_000n);
  const recordedAt = async (scannedAtMs: number) => {
    const path = join(folder.path, "records", `${scannedAtMs}`);
    await writePushRecord(path, { digest, treeBytes, entries, scannedAtMs });
    return (await readPushRecord(path)).rowsOf(file) !== null;
  };
  expect(await recordedAt(changedAtMs + 50)).toBe(false);
  expect(await recordedAt(changedAtMs + 3000)).toBe(true);
  // A clock that lags behind the file system's is no reason to trust.
  expect(await recordedAt(changedAtMs - 60_000)).toBe(false);
});

it(`believes no record that was damaged (DROVER_TEST_SEED=${seed})`, async () => {
  await using folder = await workFolder();
  const { recordPath, push, first } = await world(folder.path);
  const whole = readFileSync(recordPath);
  const next = random(seed);
  for (let flip = 0; flip < 20; flip++) {
    const bytes = Buffer.from(whole);
    const at = Math.floor(next() * bytes.byteLength);
    bytes[at] = (bytes[at] ?? 0) ^ (1 << Math.floor(next() * 8));
    writeFileSync(recordPath, bytes);
    expect((await push({ bases: [first] })).digest, `byte ${at}`).toBe(first.digest);
  }
});

it("keeps the records of the bundles that were pushed last, not of all that ever were", async () => {
  await using folder = await workFolder();
  const { bundle, push } = await world(folder.path);
  const records = join(folder.path, "records");
  for (let n = 0; n < 40; n++) {
    const old = pushRecordPath(records, `old-${n}`);
    writeFileSync(old, "");
    utimesSync(old, 1_600_000_000, 1_600_000_000 + n);
  }
  writeFileSync(join(records, "no record"), "");
  await push();
  const left = await readdir(records);
  expect(left).toHaveLength(33);
  expect(left).toContain("no record");
  expect(left).toContain(pushRecordPath(records, bundle).slice(records.length + 1));
});
