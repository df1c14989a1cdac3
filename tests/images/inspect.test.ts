/** A bundle is told from its files, and each reason why it cannot be pushed is named with its remedy. */
import { existsSync, mkdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { checkBundle, inspectBundle } from "../../images/inspect.ts";
import { workFolder } from "./samples.ts";

const realConfig = new URL("../../../shared/reference/prlctl-fixtures/macvm.config.pvs", import.meta.url).pathname;
const realDescriptor = new URL("../../../shared/reference/prlctl-fixtures/DiskDescriptor.expanding.xml", import.meta.url).pathname;

const config = (change: Record<string, string> = {}) => {
  const facts = { LinkedVmUuid: "", Enabled: "0", VmType: "0", ...change };
  return `<?xml version="1.0"?><ParallelsVirtualMachine>
    <Identification><VmUuid>{9D4C7C7C-1B1B-4A7E-8C69-0E5A8C0FA001}</VmUuid><VmType>${facts.VmType}</VmType><LinkedVmUuid>${facts.LinkedVmUuid}</LinkedVmUuid><VmName>Build 12</VmName></Identification>
    <Settings><General><OsType>9</OsType></General><VmEncryptionInfo><Enabled>${facts.Enabled}</Enabled></VmEncryptionInfo></Settings>
    <Hardware><Cpu><Number>4</Number><Type>1</Type></Cpu><Memory><RAM>8192</RAM></Memory></Hardware></ParallelsVirtualMachine>`;
};
const noEngine = "{00000000-0000-0000-0000-000000000000}";
const descriptor = (
  files: string[],
  engine = noEngine,
) => `<Parallels_disk_image><Disk_Parameters><Disk_size>131072</Disk_size><LogicSectorSize>512</LogicSectorSize>
    <Encryption><Engine>${engine}</Engine></Encryption></Disk_Parameters>
    <StorageData><Storage>${files.map((file) => `<Image><Type>Compressed</Type><File>${file}</File></Image>`).join("")}</Storage></StorageData></Parallels_disk_image>`;

function makeBundle(path: string, given: { config?: string; descriptor?: string; files?: string[] } = {}): string {
  mkdirSync(join(path, "harddisk.hdd"), { recursive: true });
  writeFileSync(join(path, "config.pvs"), given.config ?? config());
  writeFileSync(join(path, "harddisk.hdd", "DiskDescriptor.xml"), given.descriptor ?? descriptor(["disk.hds"]));
  writeFileSync(join(path, "harddisk.hdd", "disk.hds"), Buffer.alloc(8192, 1));
  truncateSync(join(path, "harddisk.hdd", "disk.hds"), 1 << 20);
  for (const file of given.files ?? []) writeFileSync(join(path, file), "x");
  return path;
}

describe("inspecting a bundle", () => {
  it("tells guest, sizes, disks and snapshots", async () => {
    await using folder = await workFolder();
    const path = makeBundle(join(folder.path, "build.pvm"), {
      descriptor: descriptor(["disk.hds", "snapshot.hds"]),
      files: ["harddisk.hdd/snapshot.hds"],
    });
    const items =
      '<SavedStateItem guid=""><SavedStateItem guid="{1}"><Name>a</Name><SavedStateItem guid="{2}" current="yes"/></SavedStateItem></SavedStateItem>';
    writeFileSync(join(path, "Snapshots.xml"), `<ParallelsSavedStates>${items}</ParallelsSavedStates>`);
    expect(await inspectBundle(path)).toMatchObject({
      kind: "pvm",
      name: "Build 12",
      uuid: "9d4c7c7c-1b1b-4a7e-8c69-0e5a8c0fa001",
      guestOs: "linux",
      architecture: "arm64",
      vcpus: 4,
      memoryBytes: 8 * 1024 ** 3,
      snapshots: 2,
      disks: [{ name: "harddisk.hdd", type: "expanding", logicalBytes: 64 * 1024 * 1024, files: 2, snapshots: 1 }],
      refusals: [],
    });
    expect(await checkBundle(path)).toMatchObject({ ok: true });
  });

  it("tells a macOS machine by its ending, and what it cannot start without", async () => {
    await using folder = await workFolder();
    const path = makeBundle(join(folder.path, "mac.macvm"), { config: config({ VmType: "2" }), files: ["aux.bin", "macid.bin"] });
    const found = await inspectBundle(path);
    expect(found).toMatchObject({ kind: "macvm", guestOs: "macos", architecture: "arm64" });
    expect(found.refusals.map(({ code, message }) => `${code} ${message}`)).toEqual([
      expect.stringMatching(/^bundle_invalid .*no machw\.bin/),
    ]);
  });

  // They belong to others and are no part of the project: where they lie beside it, they are read; elsewhere nothing is missing.
  if (existsSync(realConfig))
    it("reads a real configuration and a real disk descriptor", async () => {
      await using folder = await workFolder();
      const disk = readFileSync(realDescriptor, "utf8");
      const [, image = ""] = /<File>([^<]+)<\/File>/.exec(disk) ?? [];
      const path = makeBundle(join(folder.path, "real.macvm"), {
        config: readFileSync(realConfig, "utf8"),
        descriptor: disk,
        files: ["aux.bin", "macid.bin", "machw.bin", join("harddisk.hdd", image)],
      });
      expect(await inspectBundle(path)).toMatchObject({
        kind: "macvm",
        name: "macOS 13",
        uuid: "3f2b6c1e-0a44-4a1b-9d0e-5a6f1d2c7b80",
        guestOs: "macos",
        vcpus: 4,
        memoryBytes: 8 * 1024 ** 3,
        refusals: [],
        disks: [{ type: "expanding", logicalBytes: 64 * 1024 ** 3, snapshots: 0 }],
      });
    });

  it.each<[string, string, Parameters<typeof makeBundle>[1], RegExp]>([
    ["suspended", "a.pvm", { files: ["{9d4c7c7c-1b1b-4a7e-8c69-0e5a8c0fa001}.sav"] }, /bundle_refused .*suspended: start it/],
    ["packed", "a.pvmp", {}, /bundle_refused .*packed: unpack/],
    ["being packed", "a.pvmi", {}, /bundle_refused .*packed: unpack/],
    ["encrypted", "a.pvm", { config: config({ Enabled: "1" }) }, /bundle_refused .*encrypted: decrypt/],
    [
      "on an encrypted disk",
      "a.pvm",
      { descriptor: descriptor(["disk.hds"], "{11111111-0000-0000-0000-000000000000}") },
      /bundle_refused .*encrypted: decrypt/,
    ],
    [
      "a linked clone by its configuration",
      "a.pvm",
      { config: config({ LinkedVmUuid: "{aa}" }) },
      /bundle_refused .*linked clone .*full clone/,
    ],
    [
      "a linked clone by its disk",
      "a.pvm",
      { descriptor: descriptor(["/Users/x/base.pvm/harddisk.hdd/disk.hds"]) },
      /bundle_refused .*linked clone.*full clone/,
    ],
    ["on a disk beside the bundle", "a.pvm", { descriptor: descriptor(["../../base.hds"]) }, /bundle_refused .*linked clone/],
    ["without a readable configuration", "a.pvm", { config: "<broken" }, /bundle_invalid .*config\.pvs cannot be read/],
    ["without a readable disk", "a.pvm", { descriptor: "" }, /bundle_invalid .*no DiskDescriptor/],
    ["without a part of its disk", "a.pvm", { descriptor: descriptor(["gone.hds"]) }, /bundle_invalid .*harddisk\.hdd lacks gone\.hds/],
    ["no bundle by its name", "folder", {}, /bundle_invalid .*neither in \.pvm/],
  ])("refuses a machine that is %s", async (_name, folderName, given, expected) => {
    await using folder = await workFolder();
    const found = await checkBundle(makeBundle(join(folder.path, folderName), given));
    expect(found.ok ? "" : `${found.fault.code} ${found.fault.message}`).toMatch(expected);
  });

  it("refuses an expanding disk that ends before what its table lists, and takes one that is whole", async () => {
    await using folder = await workFolder();
    const path = makeBundle(join(folder.path, "cut.pvm"));
    const disk = join(path, "harddisk.hdd", "disk.hds");
    const clusterBytes = 1024 ** 2;
    const header = Buffer.alloc(64 + 4 * 3);
    header.write("WithouFreSpacExt", "latin1");
    header.writeUInt32LE(clusterBytes / 512, 28);
    header.writeUInt32LE(3, 32);
    // A hole, then the first and the second cluster after the table.
    [0, 1, 2].forEach((cluster, entry) => header.writeUInt32LE(cluster, 64 + 4 * entry));
    writeFileSync(disk, header);
    truncateSync(disk, 3 * clusterBytes);
    expect(await checkBundle(path)).toMatchObject({ ok: true });
    truncateSync(disk, 2 * clusterBytes);
    expect(await checkBundle(path)).toMatchObject({
      ok: false,
      fault: { code: "bundle_invalid", message: expect.stringMatching(/disk harddisk\.hdd is cut short: disk\.hds/) },
    });
  });

  it("says everything that is wrong with a folder that is no bundle, and fails where there is none", async () => {
    await using folder = await workFolder();
    mkdirSync(join(folder.path, "empty.pvm"));
    const { refusals } = await inspectBundle(join(folder.path, "empty.pvm"));
    expect(refusals.map(({ message }) => message)).toEqual([expect.stringMatching(/no config\.pvs/), expect.stringMatching(/no disk/)]);
    await expect(inspectBundle(join(folder.path, "none.pvm"))).rejects.toMatchObject({ fault: { code: "bundle_not_found" } });
  });
});
