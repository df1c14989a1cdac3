/** What prlctl prints is read in every version: samples of our own, and outputs of real Macs where they lie beside the project. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { elementOf, elementsOf, withElement } from "../bundle/config.ts";
import { newDescriptor, readDescriptor, topImage } from "../bundle/descriptor.ts";
import { FaultError } from "../../domain/errors.ts";
import { faultOf, hasFailed, outcomeOf } from "../errors.ts";
import { jsonIn } from "./json.ts";
import { parseInventory, parseList } from "./machines.ts";
import { parseServerInfo, parseVersion } from "./server.ts";
import { parseSnapshotId, parseSnapshots } from "./snapshots.ts";

const sample = (name: string) => readFileSync(join(import.meta.dirname, "../samples", name), "utf8");
const real = join(import.meta.dirname, "../../../shared/reference/prlctl-fixtures");
const fixture = (name: string) => readFileSync(join(real, name), "utf8");
const gibibyte = 1024 ** 3;

describe("machines in full", () => {
  const [build, sequoia, gone, packed] = parseInventory(sample("inventory.txt"));

  it("come in our words and units, behind noise, with the object as it was", () => {
    expect(build).toMatchObject({
      id: "0b8f3c52-7a61-4e0d-9c39-5d1a6e2f7b10",
      name: "build box",
      description: "nightly builds",
      state: "running",
      os: "ubuntu",
      bundlePath: "/Users/dev/Parallels/build box.pvm",
      cpus: 4,
      memoryBytes: 8 * gibibyte,
      diskBytes: 65 * gibibyte,
      macAddress: "001C42A1B2C3",
      addresses: ["10.211.55.9", "fdb2:2c26:f4e4::5"],
      tools: { state: "installed", version: "20.2.0-55872" },
      uptimeSeconds: 86_400,
      packed: false,
      encrypted: true,
      template: false,
      isMacOS: false,
    });
    expect(build?.raw).toMatchObject({ ID: "0B8F3C52-7A61-4E0D-9C39-5D1A6E2F7B10", Modality: { "Show on all spaces ": "on" } });
  });

  it("are macOS guests by their bundle's suffix, which is told even when Home is empty", () => {
    expect(sequoia).toMatchObject({
      bundlePath: "/Users/dev/Parallels/sequoia.macvm",
      isMacOS: true,
      template: true,
      macAddress: null,
      addresses: [],
      tools: { version: null },
    });
  });

  it("may lack nearly everything, or have it in another shape", () => {
    expect(gone).toMatchObject({ state: "invalid", bundlePath: "/Volumes/old/gone.pvm", cpus: 0, memoryBytes: 0, diskBytes: 0, os: null });
    expect(packed).toMatchObject({ state: "unknown", packed: true, cpus: 0 });
    expect(parseInventory("[\n\n]\n")).toEqual([]);
    expect(parseInventory("")).toEqual([]);
  });

  it("are read through control characters and broken lines", () => {
    const broken = sample("inventory.txt").replace("nightly builds", "nightly\u0007\nbuilds");
    expect(parseInventory(broken)[0]?.description).toBe("nightly builds");
  });

  it("are a fault that tells the beginning when they cannot be read", () => {
    for (const output of ["Segmentation fault", `[{"Name": "no id"}]`, `{"a": 1}`, "[1]"])
      expect(() => parseInventory(output)).toThrow(/prlctl list -i printed what cannot be read/);
  });
});

describe("machines in short", () => {
  it("have an address only when others can reach it", () => {
    expect(parseList(sample("list.txt"))).toEqual([
      { id: "0b8f3c52-7a61-4e0d-9c39-5d1a6e2f7b10", name: "build box", state: "running", address: "10.211.55.9" },
      { id: "91d3a7f4-2b58-4c6e-8a0f-3e7c5b9d1f26", name: "se/quo/ia", state: "resuming", address: null },
      { id: "5c2e8d10-6f94-4a3b-b7d8-0a1c9e4f7362", name: "gone", state: "invalid", address: null },
    ]);
  });
});

describe("snapshots, server and version", () => {
  it("name their parents without braces, and are none when nothing is printed", () => {
    expect(parseSnapshots(sample("snapshots.txt"))).toMatchObject([
      { id: "7d0c4b1e-95a2-4f63-8e17-2b6d9c3a5f08", parentId: null, current: false, state: "poweroff" },
      { id: "c4a91e76-0b3d-4d28-a5f2-6e8b1d7c9043", parentId: "7d0c4b1e-95a2-4f63-8e17-2b6d9c3a5f08", current: true },
    ]);
    expect([parseSnapshots(""), parseSnapshots("{}"), parseSnapshots("\n")]).toEqual([[], [], []]);
    expect(
      parseSnapshotId(
        "Creating the snapshot...\nThe snapshot with id {C4A91E76-0B3D-4D28-A5F2-6E8B1D7C9043} has been successfully created.\n",
      ),
    ).toBe("c4a91e76-0b3d-4d28-a5f2-6e8b1d7c9043");
    expect(() => parseSnapshotId("done")).toThrow(/cannot be read/);
  });

  it("tell licence, home and hardware", () => {
    expect(parseServerInfo(sample("server-info.txt"))).toEqual({
      hostName: "127.0.0.1",
      os: "macOS 15.2(24C101)",
      version: "20.2.0-55872",
      vmHome: "/Users/dev/Parallels",
      hardwareId: "6a1d3e58-4c92-4b07-8f6e-9d0b2a7c5e14",
      licence: { state: "valid", valid: true },
    });
    expect(parseServerInfo(`{"License":{"state":"expired"}}`).licence).toEqual({ state: "expired", valid: false });
    expect(parseVersion("prlctl version 27.0.1 (58670)\n")).toEqual({ name: "27.0.1", build: "58670" });
    expect(() => parseVersion("zsh: no such command")).toThrow(FaultError);
  });
});

describe("bundles", () => {
  it("keep what is not changed, and carry any text", () => {
    const xml = `<A x="1"><B><Name>one</Name></B><C><Name>two &amp; three</Name><Empty></Empty><None/></C></A>`;
    expect(elementOf(xml, "A", "C", "Name")).toBe("two & three");
    expect(elementOf(xml, "A", "B", "Empty")).toBeNull();
    expect(withElement(xml, ["A", "C", "Empty"], `<"&">`)).toBe(xml.replace("<Empty></Empty>", "<Empty>&lt;&quot;&amp;&quot;&gt;</Empty>"));
    expect(withElement(xml, ["A", "D"], "x")).toBe(xml);
    expect(elementsOf(xml, "Name")).toHaveLength(2);
  });

  it("describe their disks in a way that is read back the same", () => {
    const images = [
      { guid: topImage, parent: "{7d0c4b1e-95a2-4f63-8e17-2b6d9c3a5f08}", expanding: true, file: "top & more.hds" },
      { guid: "{7d0c4b1e-95a2-4f63-8e17-2b6d9c3a5f08}", parent: null, expanding: false, file: "/elsewhere/base.hds" },
    ];
    const layout = { uid: "2f6b0d94-81c7-4e35-a9d2-7b5e3c1f8a60", bytes: 64 * gibibyte, images };
    expect(readDescriptor(newDescriptor(layout))).toEqual(layout);
  });
});

// They belong to others and are no part of the project: where they lie beside it, they are read; elsewhere nothing is missing.
if (existsSync(real))
  describe("outputs of real Macs", () => {
    it("are read: a Windows machine in full", () => {
      const [machine] = parseInventory(fixture("pd20-win11-arm-pvm.list-a-i.json"));
      expect(machine).toMatchObject({
        id: "de22df32-80e2-4e92-ba4b-efb3a66cf092",
        state: "stopped",
        os: "win-11",
        cpus: 4,
        memoryBytes: 8 * gibibyte,
        diskBytes: 128 * gibibyte,
        macAddress: "001C4235AFAE",
        bundlePath: "/Users/ciuser/Parallels/Maui_DevBox.pvm",
        uptimeSeconds: 1_011_878,
        addresses: [],
        tools: { state: "possibly_installed", version: "20.0.0-55397" },
      });
      expect(parseInventory(fixture("vagrant-mock.list-info.json"))).toMatchObject([
        { id: "1234-here-is-uuid-5678", cpus: 1, memoryBytes: gibibyte / 2 },
      ]);
    });

    it("are read: snapshots, a disk and a macOS machine's settings", () => {
      expect(parseSnapshots(fixture("pd26-snapshot-list.json"))).toMatchObject([
        { id: "351b744b-3b1b-422c-957f-cfeae36b472d", state: "poweron", current: true, parentId: null },
      ]);
      expect(readDescriptor(fixture("DiskDescriptor.expanding.xml"))).toMatchObject({
        bytes: 64 * gibibyte,
        images: [{ guid: topImage, parent: null, expanding: true }],
      });
      const config = fixture("macvm.config.pvs");
      expect(elementOf(config, "Identification", "VmUuid")).toBe("{3f2b6c1e-0a44-4a1b-9d0e-5a6f1d2c7b80}");
      expect(elementOf(config, "Hardware", "Cpu", "Number")).toBe("4");
      expect(elementOf(config, "Hardware", "NetworkAdapter", "MAC")).toBe("001C42F11C90");
      expect(jsonIn(fixture("prlsrvctl-net-list.json"), "net list")).toHaveLength(6);
    });

    it("have errors that are told apart", () => {
      const expected: Record<string, string> = {
        any: "machine_not_found",
        start: "prlctl_failed",
        "stop (paused)": "machine_state",
        "delete (paused)": "machine_state",
        "clone (packing)": "machine_state",
        "snapshot-delete": "prlctl_busy",
        "exec (tools not up)": "tools_unavailable",
        "set --device-del": "prlctl_failed",
        "unregister (being cloned)": "prlctl_busy",
        "exec/suspend (stopped VM)": "machine_state",
        "resume/start (licence)": "licence_expired",
        exec: "outcome_unknown",
      };
      const rows = fixture("errors.tsv")
        .trim()
        .split("\n")
        .slice(1)
        .map((line) => line.split("\t"));
      expect(rows).toHaveLength(Object.keys(expected).length);
      for (const [command = "", , exit, , stderr = ""] of rows) {
        const ran = { exitCode: Number(exit), stdout: "", stderr };
        expect([command, hasFailed(ran), faultOf("verb", "machine", ran).fault.code]).toEqual([command, true, expected[command]]);
      }
    });
  });

describe("the outcome of a guest's command", () => {
  const outcome = (exitCode: number | null, stderr: string, stdout = "") => {
    const told = outcomeOf("guest", { exitCode, stdout, stderr });
    return told instanceof FaultError ? told.fault.code : told.exitCode;
  };
  it.each([
    [3, "whatever", "", 3],
    [255, "my own words\n", "", 255],
    [255, "Unable to open new session in this virtual machine. Make sure ...\n", "", "tools_unavailable"],
    [255, "PrlVmGuest_RunProgram: Unable to open new session in this virtual machine.\n", "", "tools_unavailable"],
    [255, "Unable to open new session in this virtual machine.\n", "but the guest printed this", 255],
    [255, "first\nUnable to open new session in this virtual machine.\n", "", 255],
    [255, "guest's words\nPrlJob_GetRetCode: Invalid argument. An invalid argument was passed.\n", "x", "outcome_unknown"],
    [255, "PrlJob_GetResult: Invalid argument.\n", "", "outcome_unknown"],
    [253, "Login failed: Unable to connect\n", "", "prlctl_unavailable"],
    [null, "", "", "outcome_unknown"],
  ] as const)("%s, %j, %j: %s", (exitCode, stderr, stdout, expected) => expect(outcome(exitCode, stderr, stdout)).toBe(expected));
});
